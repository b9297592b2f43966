"""LIBSVM files: row 26 of the bad-input list, and numbers against scikit-learn's writer."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file

from gdjax import data

ROWS = "1 1:0.5 3:2\n-1 2:1\n"
TABLE = [[0.5, 0, 2], [0, 1, 0]]


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes, name: str = "file.svm"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_what_scikit_learn_writes_is_read_back_bit_for_bit(tmp_path_factory, seed, zero_based, shuffled):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rng.integers(1, 6), rng.integers(1, 5))) * rng.integers(0, 2, size=(1, 1))
    X[0, [0, -1]] = 1.0, 2.0  # the first and the last feature occur, so that nothing has to be said about them
    y = rng.integers(-2, 3, size=len(X)).astype(float)
    path = tmp_path_factory.getbasetemp() / "written.svm"
    dump_svmlight_file(X, y, str(path), zero_based=zero_based, comment="a comment")
    if shuffled:
        lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
        path.write_text("\n".join(" ".join([line[0], *rng.permutation(line[1:])]) for line in lines))
    again, outcomes = data.load_libsvm(path)
    assert again.dtype == outcomes.dtype == np.float64
    # 16 significant digits are written: a last bit may differ
    assert np.allclose(again, X, rtol=1e-15, atol=0) and np.array_equal(outcomes, y)


@pytest.mark.parametrize(
    ("text", "named", "table"),
    [
        (ROWS, {}, TABLE),  # no index is 0: counted from 1
        (ROWS, {"zero_based": False}, TABLE),
        (ROWS, {"zero_based": True}, [[0, 0.5, 0, 2], [0, 0, 1, 0]]),
        ("1 0:0.5 2:2\n-1 1:1\n", {}, TABLE),  # an index is 0: counted from 0
        ("1 0:0.5 2:2\n-1 1:1\n", {"zero_based": True}, TABLE),
        (ROWS, {"features": 4}, [[0.5, 0, 2, 0], [0, 1, 0, 0]]),
        (ROWS, {"features": 4, "zero_based": True}, [[0, 0.5, 0, 2], [0, 0, 1, 0]]),
    ],
)
def test_row_26_indices_from_0_or_1_are_told_apart_or_said(written, text, named, table):
    X, y = data.load_libsvm(written(text), **named)
    assert X.tolist() == table
    assert y.tolist() == [1, -1]


@pytest.mark.parametrize(
    "text",
    [
        "1 3:2 1:0.5\n-1 2:1\n",
        "# by hand\n\n1 1:0.5 3:2 # good\n   \n-1 2:1#bad",
        "1 1:0.5 3:2\r\n-1 2:1\r\n",
        "+1 qid:7 1:5e-1 3:2.0\n-1 qid:8 2:1",
        "1\t1:0.5\t3:2\n-1  2:1",
    ],
    ids=["unsorted", "comments and blank lines", "Windows", "query ids", "tabs"],
)
def test_row_26_what_people_write_is_read(written, text):
    X, y = data.load_libsvm(written(text))
    assert (X.tolist(), y.tolist()) == (TABLE, [1, -1])


@pytest.mark.parametrize("name", ["a.svm", "a.svm.gz", "a.svm.bz2"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda raw: b"\xef\xbb\xbf" + raw],
                         ids=["gzip", "bzip2", "xz", "byte order mark"])
def test_row_26_archives_are_told_by_their_bytes_and_not_by_their_names(written, pack, name):
    # scikit-learn goes by the suffix alone, and float() stumbles over the mark
    X, y = data.load_libsvm(written(pack(ROWS.encode()), name))
    assert (X.tolist(), y.tolist()) == (TABLE, [1, -1])


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        ("1 1:1\n2 1:x\n", {}, r"line 2: a feature must be index:value, both finite numbers \(got '1:x'\)"),
        ("# note\n1 1:1\n\n2 1\n", {}, r"line 4: a feature .* \(got '1'\)"),
        ("1 1:nan\n", {}, r"line 1: a feature .* \(got '1:nan'\)"),
        ("1 1:1\n1 a:1\n", {}, r"line 2: a feature .* \(got 'a:1'\)"),
        ("1 -1:1\n", {}, r"line 1: a feature .* \(got '-1:1'\)"),
        ("one 1:1\n", {}, r"line 1: the outcome must be a finite number \(got 'one'\)"),
        ("1 1:1\ninf 1:1\n", {}, r"line 2: the outcome .* \(got 'inf'\)"),
        ("1:1 2:1\n", {}, r"line 1: the outcome .* \(got '1:1'\)"),
        ("1,3 1:1\n", {}, r"line 1: the outcome .* \(got '1,3'\).*Several labels"),
        ("1 1:1\n1 2:1 4:2 2:3\n", {}, r"line 2: an index may stand once \(got 2 twice\)"),
        ("1 1:1\n1 0:1\n", {"zero_based": False}, r"line 2: an index must be at least 1 \(got '0:1'\)"),
        ("1 1:1\n1 4:1\n", {"features": 3}, r"line 2: an index must be at most 3 \(got '4:1'\)"),
        ("1 0:1\n1 3:1\n", {"features": 3}, r"line 2: an index must be at most 2 \(got '3:1'\)"),
        ("1 1:1\n1 2147483648:1\n", {}, "line 2: an index must be at most 2147483647"),
        ("1\n2\n", {}, r"must hold examples with features \(got 2 examples, 0 values\)"),
        ("# nothing\n", {}, r"\(got 0 examples, 0 values\)"),
        (ROWS, {"features": 0}, r"features: must be at least 1 \(got 0\)"),
        (ROWS, {"labels": [1, 2]}, r"among \[1.0, 2.0\] \(got -1 at line 2; 1 in all\). The file has \[-1.0, 1.0\]"),
        (ROWS, {"labels": [1, 1]}, "labels: must be two or more different numbers"),
    ],
)
def test_row_26_a_line_that_does_not_read_is_named(written, text, named, message):
    with pytest.raises(ValueError, match=message):
        data.load_libsvm(written(text), **named)


def test_row_26_the_dense_size_is_known_before_it_is_made(written):
    rows = 2**16  # × 2³⁰ features × 8 bytes are 512 TiB: made first, this would not come back
    path = written("1 1:1\n" * (rows - 1) + f"-1 {2**30}:1\n")
    with pytest.raises(ValueError, match=r"65,536 × 1,073,741,824 features .*limit of 2 GiB, they need 512 TiB"):
        data.load_libsvm(path)
    path = written(ROWS)
    assert data.load_libsvm(path, max_bytes=8 * 2 * 3)[0].shape == (2, 3)
    with pytest.raises(ValueError, match=r"limit of 47 bytes, they need 48 bytes"):
        data.load_libsvm(path, max_bytes=8 * 2 * 3 - 1)


@given(st.text(alphabet="012:.- \n\t#einaq", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_table_or_a_value_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.svm"
    path.write_text(text)
    try:
        X, y = data.load_libsvm(path, max_bytes=10_000)
    except ValueError as error:
        assert re.match(r"(path|line \d+|max_bytes): ", str(error))
    else:
        assert np.isfinite(X).all() and np.isfinite(y).all()
        assert len(y) == sum(bool(line.partition("#")[0].strip()) for line in text.split("\n"))


def test_labels_are_numbered_in_the_order_given(written):
    path = written("# −1 and 1\n" + ROWS)
    assert data.load_libsvm(path, labels=[-1, 1])[1].tolist() == [1, 0]
    assert data.load_libsvm(path, labels=[1, 0, -1])[1].tolist() == [0, 2]


def test_a_comment_in_another_encoding_does_no_harm(written):
    assert data.load_libsvm(written(b"1 1:2 # caf\xe9\n"))[0].tolist() == [[2]]


def test_a_missing_scikit_learn_is_answered_with_the_install_command(written, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install scikit-learn \(or gdjax\[bench\]\)"):
        data.load_libsvm(written(ROWS))
