"""Result files cut at every tenth, emptied or replaced by another's: quarantined, run again, never a wrong table."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from bench import folder_check, store
from tests.faults import runs
from tests.faults.conftest import LONG, Tally

SIZES = {"a.sgd.1": 1, "a.sgd.13": 13}
CUT = "each file of each part cut at every tenth, emptied, replaced by another's"
DAMAGES = [*(f"cut at {tenth} tenths" for tenth in range(10)), "replaced"]  # 0 tenths: emptied


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.small(tmp_path_factory)


def _damaged(whole: Path, folder: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    """A copy of the run with one file that matches damaged in one way, for each file and each way."""
    names = sorted(path.relative_to(whole) for path in whole.glob(pattern))
    assert names
    for name in names:
        others = [each for each in names if each.name == name.name and each != name]
        for damage in DAMAGES:
            if damage == "replaced" and not others:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(whole, folder)
            content = (whole / name).read_bytes()
            content = (whole / others[0]).read_bytes() if damage == "replaced" else content[
                :len(content) * DAMAGES.index(damage) // 10]
            (folder / name).write_bytes(content)
            yield name, damage


def test_every_file_of_every_part(whole: Path, folder: Path, tally: Tally) -> None:
    """The part, and no other, is moved to corrupt/ and named; tables made meanwhile lack its rows and no others."""
    lanes = pd.read_parquet(whole / "lanes.parquet")
    for name, damage in _damaged(whole, folder, "parts/*/*"):
        with tally(CUT, "quarantined and named"):
            part = name.parent.name
            assert folder_check.check_run(folder).code == 4, damage
            assert [text.split(":")[0] for text in store.collect(folder)] == [f"parts/{part}"]
            wanted = lanes[lanes["batch_size"] != SIZES.get(part)].reset_index(drop=True)
            pd.testing.assert_frame_equal(pd.read_parquet(folder / "lanes.parquet"), wanted)
            said: list[str] = []
            groups = store.finished_groups(folder, said.append)
            assert len(groups) == 2 and part not in groups
            assert len(said) == 1 and said[0].startswith(f"parts/{part}: ")
            assert [path.name[:len(part)] for path in (folder / "corrupt").iterdir()] == [part]


def test_a_resume_makes_the_tables_whole_again(whole: Path, folder: Path, tally: Tally) -> None:
    for name, damage in itertools.islice(_damaged(whole, folder, "parts/*/*"), 3, None if LONG else 4):
        with tally("the same, then --resume", "run again, tables equal the undamaged run's"):
            assert runs.run(folder, of=runs.SMALL) == 0, (name, damage)
            runs.same_tables(folder, whole)


def test_tables_at_the_top_are_made_again(whole: Path, folder: Path, tally: Tally) -> None:
    for name, damage in _damaged(whole, folder, "*.parquet"):
        with tally("each table at the top cut at every tenth, emptied", "found, made again from the parts"):
            assert f"damaged  {name}: " in "\n".join(folder_check.check_run(folder).lines), damage
            assert store.collect(folder) == []
            runs.same_tables(folder, whole)


def test_a_damaged_manifest_is_refused_and_nothing_is_touched(whole: Path, folder: Path, tally: Tally) -> None:
    for _, damage in _damaged(whole, folder, store.MANIFEST):
        with tally("run.json cut at every tenth, emptied", "refused with exit 4, parts stay"):
            before = runs.whole_parts(folder)
            assert runs.run(folder, of=runs.SMALL) == 4, damage
            runs.nothing_lost(before, folder)
            assert folder_check.check_run(folder).code == 4
