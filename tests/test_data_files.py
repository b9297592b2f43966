"""CSV and NPZ files, and what every file may be wrong with: row 26 of the bad-input list."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdjax import data

PLAIN = "a,b,y\n1,2,0\n3,4.5,1\n"
TABLE, OUTCOMES = [[1, 2], [3, 4.5]], [0, 1]


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes, name: str = "file.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


LOADERS = [data.load_csv, data.load_libsvm, data.load_npz]


@pytest.mark.parametrize("load", LOADERS)
def test_row_26_what_is_no_file_is_said(load, tmp_path):
    with pytest.raises(ValueError, match=r"path: no such file \(got '.*gone.csv'\)"):
        load(tmp_path / "gone.csv")
    with pytest.raises(ValueError, match=r"path: must be a file \(got the directory"):
        load(str(tmp_path))
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match=r"path: must hold examples \(got the empty file"):
        load(tmp_path / "empty")
    with pytest.raises(TypeError, match=r"path: must be a string or a path \(got int\)"):
        load(3)


@pytest.mark.parametrize(("load", "row"), [(data.load_csv, "{:.17g},1"), (data.load_libsvm, "1 1:{:.17g}")])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_row_26_a_damaged_archive_is_said(load, row, pack, written):
    # long enough for half the archive to hold whole rows
    rows = [row.format(number) for number in np.random.default_rng(0).normal(size=8_000)]
    whole = pack("\n".join(rows).encode())
    assert len(load(written(whole))[0]) == len(rows)
    with pytest.raises(ValueError, match=r"path: cannot be read to its end \(got "):
        load(written(whole[:len(whole) // 2]))


def test_row_26_a_damaged_npz_file_is_said(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", X=np.random.default_rng(0).normal(size=(50, 2)), y=np.arange(50))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "flipped.npz").write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    for name in ("half.npz", "flipped.npz"):
        with pytest.raises(ValueError, match=r"path: must be a whole NPZ file \(got "):
            data.load_npz(tmp_path / name)


def test_row_26_a_file_without_permission_is_said(written, monkeypatch):
    def forbidden(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr("gdjax.data.files._decompressed", forbidden)  # whoever runs the tests may read everything
    with pytest.raises(ValueError, match=r"cannot be read to its end \(got .*Permission denied"):
        data.load_csv(written(PLAIN))


@pytest.mark.parametrize("content", [PLAIN.encode(), gzip.compress(PLAIN.encode(), mtime=0)], ids=["plain", "gzip"])
def test_row_26_text_that_is_not_utf_8_is_named_by_line(content, written):
    bad = b"a,b,y\n1,2,0\n3,4\xe9,1\n"
    content = gzip.compress(bad) if content.startswith(b"\x1f") else bad
    with pytest.raises(ValueError, match=r"path: must be UTF-8 text \(got byte 0xe9 at line 3 of .*iconv"):
        data.load_csv(written(content))
    with pytest.raises(ValueError, match="byte 0xff at line 1"):
        data.load_csv(written(PLAIN.encode("utf-16")))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", "   ").replace("1 ", " 1 "),
        PLAIN.replace(",", " , "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\n\n  \n"),
        "\ufeff" + PLAIN,
        '"a","the ""b"", quoted",y\n"1","2","0"\n3,4.5,1',
        "1,2,0\n3,4.5,1",  # no header: the first row holds numbers
        "x y,z,é\n1,2,0\n3,4.5,1\n",
    ],
    ids=["comma", "semicolon", "tab", "bar", "white space", "padded", "Windows", "old Mac", "blank lines",
         "byte order mark", "quotes", "no header", "odd names"],
)
def test_row_26_separators_headers_and_line_ends_are_found(text, written):
    X, y = data.load_csv(written(text))
    assert X.dtype == y.dtype == np.float64
    assert (X.tolist(), y.tolist()) == (TABLE, OUTCOMES)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("0,1,2\n1,2,0\n3,4.5,1\n", {"header": True}),
        (PLAIN, {"outcome": "y"}),
        ("a,y,b\n1,0,2\n3,1,4.5\n", {"outcome": "y"}),
        ("y,a,b\n0,1,2\n1,3,4.5\n", {"outcome": 0}),
        ("id,a,b,y\n7,1,2,0\n8,3,4.5,1\n", {"drop": ["id"]}),
        (",a,b,y\n0,1,2,0\n1,3,4.5,1\n", {"drop": [0]}),
        ("1;2;0\n3;4.5;1\n", {"separator": ";", "header": False}),
        ("1~2~0\n3~4.5~1\n", {"separator": "~"}),
        ("a y\n1 0\n", {"separator": " "}),
    ],
)
def test_row_26_what_cannot_be_found_can_be_said(text, named, written):
    X, y = data.load_csv(written(text), **named)
    assert (X.tolist(), y.tolist()) == ((TABLE, OUTCOMES) if len(X) == 2 else ([[1]], [0]))


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        ("a,b,y\n1,2,0\n\n3,4\n5,6,7,8\n", {}, r"rows: must have the 3 cells of line 1, cut at ',' "
         r"\(got 2 cells at line 4, 4 cells at line 5; 2 in all\)"),
        ("1,2\n3\n", {}, r"cells of line 1, cut at ',' \(got 1 cells at line 2"),
        ("a,b\n1,2\n\"3,4\n5,6\n", {}, r"2 cells of line 1.*\(got 1 cells at line 3"),
        ("a,b,y\n1,2,0\n3,,1\n", {},
         r"cells: must be finite numbers \(got '' \(missing\) at line 3 column 'b'; 1 in all"),
        ("a,b,y\n1,2,0\n?,NA,1\n", {},
         r"got '\?' \(missing\) at line 3 column 'a', 'NA' \(missing\) at line 3 column 'b'"),
        ("a,b,y\n\n1,2,0\n3,nan,inf\n", {},
         r"got 'nan' \(missing\) at line 4 column 'b', 'inf' at line 4 column 'y'; 2 in all"),
        ("1,2,cat\n3,4,dog\n", {}, r"got 'cat' at line 1 column 'column 3', 'dog' at line 2 .*categories=\{'column 3': "
         r"\['cat', 'dog'\]\}, or drop=\['column 3'\].*Pass header=True"),
        ("a,b,y\n1,\"x\ny\",0\n3,z,1\n", {}, r"got 'x\\ny' at line 2 column 'b', 'z' at line 4 column 'b'"),
        ("a,y\n1_000,2\n", {}, "got '1_000' at line 2 column 'a'"),
        ("a;y\n1,5;2\n", {}, "got '1,5' at line 2 column 'a'; 1 in all.. Write decimals with a point"),
        ("a,y\n1,True\n2,False", {}, "got 'True' at line 2 column 'y', 'False' at line 3 column 'y'"),
        ("a,y\nTRUE,1\n2,1\n", {}, "got 'TRUE' at line 2 column 'a'; 1 in all"),
        ("0,1,2\n1,2,0\n", {}, "header: the first row is 0, 1, 2, …, which may be names or data"),
        ("a,a,y\n1,2,0\n", {}, r"header: names must be different \(got 'a' more than once"),
        (",a,y\n0,1,2\n", {}, r"header: a feature needs a name \(got none at position 0\).*drop=\[0\]"),
        ("a,b,y\n", {}, r"path: must hold rows of data \(got a header alone\)"),
        ("\n\n\n", {}, r"path: must hold rows of data \(got blank lines alone\)"),
        ("a\n1\n2\n", {}, r"features: need at least one column beside the outcome \(got only \['a'\]"),
        (PLAIN, {"outcome": "z"}, r"outcome: unknown name \(got 'z'\).*Known: a, b, y"),
        ("1,2\n", {"outcome": "y"}, "outcome: unknown name .*pass header=True"),
        (PLAIN, {"outcome": 3}, r"outcome: must be a column of the file \(got position 3 of 3 columns\)"),
        (PLAIN, {"drop": ["y"]}, r"drop: must leave the outcome in \(got 'y'\)"),
        (PLAIN, {"separator": ", "}, r"separator: must be one character \(got ', '\)"),
        (PLAIN, {"max_bytes": 31}, "max_bytes: 2 × 2 features .*limit of 31 bytes, they need 32 bytes"),
        ("a,y\nu,0\nw,1\n", {"categories": {"a": ["u", "v"]}},
         r"column 'a' must hold one of 'u', 'v' \(got 'w' at line 3; 1 in all\)"),
        ("a,y\nu,0\n", {"categories": {"a": ["u"]}}, "those of column 'a' must be two or more different names"),
    ],
)
def test_row_26_what_cannot_be_read_is_named_by_line_and_column(text, named, message, written):
    with pytest.raises(ValueError, match=message):
        data.load_csv(written(text), **named)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"outcome": 1.0}, r"outcome: must be the name or the position of a column \(got 1.0\)"),
        ({"drop": [True]}, r"drop: .* \(got True\)"),
        ({"drop": "ab"}, r"drop: must be a list of columns \(got 'ab'\). Use drop=\['ab'\]"),
        ({"categories": {"a": "uv"}}, r"categories: those of column 'a' must be strings \(got 'uv'\)"),
        ({"categories": {"a": [1, 2]}}, r"categories: .* \(got \[1, 2\]\)"),
    ],
)
def test_arguments_of_the_wrong_type_are_a_type_error(named, message, written):
    with pytest.raises(TypeError, match=message):
        data.load_csv(written(PLAIN), **named)


def test_row_26_text_columns_are_encoded_as_chosen(written):
    path = written("colour,size,kind\nred,1, cat\nblue,2,dog \n\nred,3,cat\n")
    X, y = data.load_csv(path, categories={"kind": ["dog", "cat"], "colour": ["red", "green", "blue"]})
    # the feature's columns stand where it stood: red, green, blue, then size
    assert X.tolist() == [[1, 0, 0, 1], [0, 0, 1, 2], [1, 0, 0, 3]]
    assert y.tolist() == [1, 0, 1]


def test_only_the_first_five_faults_are_named_and_all_are_counted(written):
    path = written("a,y\n" + "x,1\n" * 7)
    with pytest.raises(ValueError, match=r"line 2 .* line 6 column 'a'; 7 in all") as raised:
        data.load_csv(path)
    assert "line 7" not in str(raised.value)


def test_numbers_of_a_csv_file_are_those_that_were_written(written):
    rng = np.random.default_rng(1)
    table = rng.normal(size=(300, 4)) * 10.0 ** rng.integers(-30, 30, size=(300, 4))
    path = written(pd.DataFrame(table, columns=list("abcy")).to_csv(index=False))
    X, y = data.load_csv(path)
    # to_csv writes the shortest text that reads back as the same float64; older pandas read some a bit off
    np.testing.assert_array_max_ulp(np.column_stack([X, y]), table, maxulp=1)


NUMBERS = st.sampled_from(["1", "-2.5", "1e3", " 7 ", '"8"', '" 9"', "+.5", "inf"])
CELLS = st.one_of(NUMBERS, NUMBERS, NUMBERS, st.text(alphabet='12.,; \t\n\r"-aT', max_size=4))
TEXTS = st.builds(
    lambda head, rows, end: head + end.join(",".join(row) for row in rows),
    st.sampled_from(["", "", "a,y\n", '"a\nb",y\n', "\n \n", "\ufeff"]),
    st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n \n"]),
)


@given(TEXTS, st.sampled_from([None, True, False]))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_table_or_a_value_error(text, header):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.csv")
        path.write_text(text, newline="")
        try:
            X, y = data.load_csv(path, header=header, separator=",")
        except ValueError as error:
            assert re.match(r"(path|rows|cells|header|features|line \d+): ", str(error))
            return
        # the module csv is the second opinion; the header may be any text
        lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
        rows = [cells for cells in csv.reader(lines, skipinitialspace=True)
                if len(cells) > 1 or "".join(cells).strip()]
        table = [[float(cell) for cell in row] for row in rows[-len(y):]]
        assert np.column_stack([X, y]).tolist() == table
        assert len(rows) - len(y) == (header is True or (header is None and not re.search("[0-9]", "".join(rows[0]))))


def test_a_compressed_csv_file_is_read(written):
    X, y = data.load_csv(written(gzip.compress(PLAIN.encode()), "a.csv"))
    assert (X.tolist(), y.tolist()) == (TABLE, OUTCOMES)


def test_row_26_arrays_of_an_npz_file_are_found_by_name(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=np.array(TABLE, np.float32), y=np.array(OUTCOMES, np.uint8), images=np.zeros((2, 3)))
    X, y = data.load_npz(path)
    assert (X.dtype, y.dtype) == (np.float64, np.float64)
    assert (X.tolist(), y.tolist()) == (TABLE, OUTCOMES)
    assert data.load_npz(path, features="images")[0].shape == (2, 3)
    with pytest.raises(ValueError, match=r"features: .* \(got 'image'\). Did you mean 'images'\? Known: X, y,"):
        data.load_npz(path, features="image")
    with pytest.raises(ValueError, match=r"max_bytes: 2 × 2 features .*limit of 31 bytes"):
        data.load_npz(path, max_bytes=31)


def test_row_26_objects_are_refused_and_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / "a.npz", X=np.array([[Trap()]], object), y=[0])
    with pytest.raises(TypeError, match=r"features: must hold numbers \(got dtype object in array 'X'\)"):
        data.load_npz(tmp_path / "a.npz")
    assert not (tmp_path / "sprung").exists()


def test_row_26_an_npz_file_that_holds_something_else_is_said(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(2))
    with pytest.raises(ValueError, match=r"path: must be a whole NPZ file \(got File is not a zip file"):
        data.load_npz(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("X.npy", "text")
        archive.writestr("y.npy", "text")
    with pytest.raises(ValueError, match=r"features: array 'X' must be in NPY format \(got "):
        data.load_npz(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", X=np.array([["a"]]), y=[0])
    with pytest.raises(TypeError, match=r"features: must hold real numbers \(got dtype <U1\)"):
        data.load_npz(tmp_path / "c.npz")


def test_row_26_a_huge_array_is_refused_by_its_header(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("X.npy", "w") as member:
        np.lib.format.write_array_header_2_0(member, {"descr": "|i1", "fortran_order": False, "shape": (2**20, 2**20)})
    with pytest.raises(ValueError, match=r"1,048,576 × 1,048,576 features .*they need 8 TiB"):
        data.load_npz(tmp_path / "a.npz")


def test_rows_4_and_5_hold_for_files_too(tmp_path):
    for arrays, message in [
        ({"X": [[1, np.nan]], "y": [0]}, "features: must be finite .got nan at row 0 column 1"),
        ({"X": np.eye(2), "y": [0]}, r"labels: must be as many .*features \(2, 2\) and labels \(1,\)"),
        ({"X": np.ones(2), "y": [0, 1]}, r"features: must have two axes"),
        ({"X": np.ones((0, 2)), "y": []}, "features: need rows and columns"),
    ]:
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(ValueError, match=message):
            data.load_npz(tmp_path / "a.npz")
