"""Doctor's look at a run folder: every row is read, and never all of them at once."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from bench import folder_check, store
from bench.cli import cli
from tests.bench.test_store import a_run

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "quick-cpu"
ROWS = pandas.DataFrame({"problem": "a", "batch_size": 1, "loss": [float(row) for row in range(5_000)]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store.create(tmp_path, a_run())
    for group in ("a.sgd.1", "a.sgd.2"):
        store.write_group(tmp_path, group, {"curves": ROWS})
    store.collect(tmp_path)
    return tmp_path


def test_no_table_is_held_in_memory_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(*_: object, **__: object) -> None:
        pytest.fail("a table was read whole")

    monkeypatch.setattr(parquet, "read_table", whole)
    monkeypatch.setattr(parquet.ParquetFile, "read", whole)
    assert [*folder_check.damaged_parts(folder), *folder_check.damaged_tables(folder)] == []


def test_pages_that_cannot_be_read_are_damage_though_the_row_count_is_right(folder: Path) -> None:
    path = folder / "curves.parquet"
    content = bytearray(path.read_bytes())
    content[4:2_000] = bytes(1_996)
    path.write_bytes(content)
    [said] = folder_check.damaged_tables(folder)
    assert said.startswith("curves.parquet: cannot be read (")


def test_what_mends_a_folder_is_a_command_that_a_shell_takes(folder: Path) -> None:
    spaced = folder.rename(folder.with_name("my runs"))
    [said] = [line for line in folder_check.check_run(spaced).lines if line.startswith("mend: ")]
    assert said == (f"mend: python -m bench run SUITE --out '{spaced}' --resume runs what is missing or damaged; "
                    f"python -m bench report '{spaced}' makes tables and report again.")


@pytest.mark.parametrize("command", [["doctor"], ["report"], ["compare", str(REFERENCE)]])
def test_tables_whose_parts_were_not_kept_are_told_as_such_and_stay(command: list[str], tmp_path: Path) -> None:
    """A committed reference run, all of whose cells are finished."""
    here = tmp_path / "kept"
    here.mkdir()
    for name in ("run.json", "summary.csv"):
        (here / name).write_bytes((REFERENCE / name).read_bytes())
    done = CliRunner().invoke(cli, [*command, str(here), *(["--out", str(tmp_path / "out")] * (len(command) > 1))])
    assert done.exit_code == (3 if command == ["doctor"] else 4)
    said = " ".join(done.output.split())
    assert "holds tables only, its parts were not kept (got none of 100 finished cells)." in said
    assert "missing" not in said and "--resume" not in said
    assert (here / "summary.csv").read_bytes() == (REFERENCE / "summary.csv").read_bytes()


@pytest.mark.parametrize("kept", ["parts/a.sgd.1", "lanes.parquet", "corrupt"])
def test_a_folder_with_more_than_tables_is_looked_at_as_ever(kept: str, tmp_path: Path) -> None:
    (tmp_path / kept).mkdir(parents=True)
    assert store.without_parts(tmp_path, [{"status": "finished"}]) is None


def test_a_run_whose_first_cell_is_not_finished_lacks_no_parts(tmp_path: Path) -> None:
    assert store.without_parts(tmp_path, [{"status": "pending"}]) is None


def test_a_table_that_lacks_rows_of_a_part_is_damage(folder: Path) -> None:
    ROWS.to_parquet(folder / "curves.parquet", index=False)
    assert list(folder_check.damaged_tables(folder)) == ["curves.parquet: has 5,000 rows, its parts have 10,000"]
