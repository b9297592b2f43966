"""OpenML by name, against a stand-in of its HTTP interface on loopback: no test here leaves the machine."""

from __future__ import annotations

import re
import sys
from urllib.error import URLError

import numpy as np
import pytest

from gdjax import data
from tests.openml_stand_in import Table, iris, openml

CUPS = Table(
    "cups",
    [("id", "INTEGER"), ("height", "REAL"), ("size", "{2,10,1}"), ("colour", "{red,blue}"), ("full", "{yes,no}"),
     ("price", "REAL"), ("note", "STRING")],
    ["1,9.5,10,red,yes,4,fine", "2,8.0,2,blue,no,5.5,chipped", "3,7.5,1,red,no,6,fine"],
    targets=["full"], ignored=["id"],
)
HOLES = Table("holes", [("a", "REAL"), ("b", "REAL"), ("y", "REAL")], ["1,?,1", "2,3,1", "?,?,2"], targets=["y"])


@pytest.fixture(scope="module")
def served():
    older = Table("iris", [("x", "REAL"), ("y", "REAL")], ["1,2", "3,4"], targets=["y"], version=2)
    damaged = Table("damaged", [("x", "REAL"), ("y", "REAL")], ["1,2"], targets=["y"], announced_md5="0" * 32)
    aimless = Table("aimless", [("x", "REAL"), ("y", "REAL")], ["1,2", "3,5"], targets=[])
    sparse = Table("sparse", [("a", "REAL"), ("b", "REAL"), ("c", "REAL"), ("y", "{n,p}")],
                   ["{0 1.5,2 2,3 p}", "{1 -4,3 n}", "{2 3,3 p}"], targets=["y"], sparse=True)
    coded = Table("coded", [("a", "{u,v}"), ("b", "REAL"), ("y", "REAL")], ["{1 2,2 3}", "{0 v,2 4}"], targets=["y"],
                  sparse=True)
    with openml(iris(), older, CUPS, HOLES, damaged, aimless, sparse, coded) as server:
        yield server


@pytest.fixture
def load(served, tmp_path):
    served.asked.clear()
    served.broken = None
    return lambda name, **named: data.load_openml(name, **{"data_home": tmp_path, **named})


def test_openml_iris_is_the_bundled_iris(load):
    X, y = load("iris", version=1)
    bundled = data.iris()
    assert X.dtype == y.dtype == np.float64
    # labels in alphabetical order of their names: setosa, versicolor, virginica, as scikit-learn numbers them
    assert np.array_equal(X, bundled[0]) and np.array_equal(y, bundled[1])


def test_the_second_call_comes_from_the_cache(load, served, tmp_path):
    first = load("iris", version=1)
    asked = len(served.asked)
    served.broken = 503
    again = load("iris", version=1)
    assert asked > 0 and len(served.asked) == asked
    assert data.fingerprint(first) == data.fingerprint(again)
    assert list(tmp_path.glob("openml/**/*.arff.gz")), "the cache is in data_home"


def test_without_the_cache_nothing_is_kept(load, served, tmp_path):
    load("iris", version=1, cache=False)
    asked = len(served.asked)
    load("iris", version=1, cache=False)
    assert len(served.asked) == 2 * asked
    assert not list(tmp_path.iterdir())


def test_several_active_versions_are_said_and_the_first_is_taken(load):
    with pytest.warns(UserWarning, match="Multiple active versions"):
        assert load("iris")[0].shape == (150, 4)
    assert load("iris", version=2)[0].tolist() == [[1.0], [3.0]]


def test_nominal_columns_become_labels_and_indicators_in_the_order_of_their_names(load):
    X, y = load("cups", drop=["note"])
    # height; size 1, 2, 10 by value, not "1", "10", "2"; colour blue, red; price. The ignored id is left out
    assert X.tolist() == [[9.5, 0, 0, 1, 0, 1, 4], [8, 0, 1, 0, 1, 0, 5.5], [7.5, 1, 0, 0, 0, 1, 6]]
    assert y.tolist() == [1, 0, 0]  # no, yes
    X, y = load("cups", drop=["height", "size", "price", "colour"],
                categories={"full": ["yes", "no"], "note": ["fine", "chipped"]})
    assert (X.tolist(), y.tolist()) == ([[1, 0], [0, 1], [1, 0]], [0, 1, 1])


def test_the_outcome_may_be_another_column(load):
    X, y = load("cups", outcome="price", drop=["note", "size", "colour"])
    assert (X.tolist(), y.tolist()) == ([[9.5, 0, 1], [8, 1, 0], [7.5, 1, 0]], [4, 5.5, 6])


def test_a_sparse_table_is_made_dense(load):
    X, y = load("sparse")
    assert X.tolist() == [[1.5, 0, 2], [0, -4, 0], [0, 0, 3]]
    assert y.tolist() == [1, 0, 1]  # n, p


@pytest.mark.parametrize(
    ("name", "named", "text"),
    [
        ("irsi", {}, r"openml: could not load 'irsi' version active \(got No active dataset irsi found"),
        ("iris", {"version": 7}, r"'iris' version 7 \(got Dataset iris with version 7 not found.*openml.org/search"),
        ("damaged", {"cache": False}, "md5 checksum"),
        ("cups", {"outcome": "prise"}, r"outcome: unknown name \(got 'prise'\). Did you mean 'price'"),
        ("cups", {"drop": ["hieght"]}, r"drop: unknown name \(got 'hieght'\). Did you mean 'height'"),
        ("cups", {"categories": {"color": ["a", "b"]}}, r"categories: unknown name .* Did you mean 'colour'"),
        ("cups", {}, r"column 'note' holds text \(got 'fine' at row 0\). Leave it out, drop=\['note'\]"),
        ("cups", {"drop": ["note"], "categories": {"colour": ["red", "green"]}},
         r"column 'colour' must hold one of 'red', 'green' \(got 'blue' at row 1; 1 in all\)"),
        ("cups", {"categories": {"note": ["fine", "fine"]}}, "two or more different names"),
        ("cups", {"drop": ["note"], "max_bytes": 8 * 3 * 7 - 1}, r"3 × 7 features .*limit of 167 bytes.* 168 bytes"),
        ("sparse", {"max_bytes": 8 * 3 * 3 - 1}, "3 × 3 features in dense float64"),
        ("iris", {"version": 2, "drop": ["x"]}, "drop: must leave a feature"),
        ("aimless", {}, r"outcome: must be one column \(got none by default\). Name one of x, y"),
        ("coded", {}, r"nominal features of a sparse table .*\['a'\]"),
        ("holes", {}, r"row 2 column 'a', row 0 column 'b', row 2 column 'b'; 3 in all.*drop=\['a', 'b'\]"),
    ],
)
@pytest.mark.filterwarnings("ignore:Downloaded file could have been corrupted")
def test_what_cannot_be_loaded_is_told_with_its_reason(load, name, named, text):
    with pytest.raises(ValueError, match=text):
        load(name, **named)


def test_categories_that_are_not_text_are_a_type_error(load):
    with pytest.raises(TypeError, match=r"those of column 'size' must be strings \(got \[1, 2, 10\]\)"):
        load("cups", drop=["note"], categories={"size": [1, 2, 10]})
    with pytest.raises(TypeError, match=r"drop: must be a list of columns \(got 'note'\)"):
        load("cups", drop="note")


def test_an_answer_that_is_an_error_names_its_status(load, served):
    served.broken = 503
    with pytest.warns(UserWarning, match="network error"), pytest.raises(ConnectionError, match=r"\(got 503 .* later"):
        load("iris", version=1)


@pytest.mark.parametrize(("page", "text"), [(b"<html>Log in</html>", "Expecting value"), (b"{}", "no 'data'")])
@pytest.mark.filterwarnings("ignore:Invalid cache")
def test_an_answer_of_somebody_else_is_told(load, served, page, text):
    served.broken, served.page = 200, page
    with pytest.raises(ConnectionError, match=f"not in OpenML's form .got {text}.*log-in page"):
        load("iris", version=1)


def test_offline_says_what_to_do(load, monkeypatch):
    def unplugged(request):
        raise URLError("Name or service not known")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", unplugged)
    text = r"openml: could not be reached for 'iris' version 1 \(got Name or service not known\).*data_home=.*by path"
    with pytest.warns(UserWarning, match="network error"), pytest.raises(ConnectionError, match=text):
        load("iris", version=1)


def test_a_missing_scikit_learn_is_said_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=re.escape("pip install scikit-learn (or gdjax[bench])")):
        data.load_openml("iris")
