"""A second run in a folder in use, and a reader while a run writes."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from bench import files, store, tables
from tests.faults import runs
from tests.faults.conftest import Tally, times


@pytest.mark.parametrize("trial", times(1, 20))
def test_row_24_the_second_run_is_refused(trial: int, folder: Path, tally: Tally, capfd: pytest.CaptureFixture[str]
                                          ) -> None:
    with tally("two runs in one folder", "the second refused with exit 4, the first unharmed"):
        process = runs.start(folder, FAULT_PACE_S="0.5")
        while not (folder / store.MANIFEST).exists():
            assert process.poll() is None
        refused, why = runs.run(folder), capfd.readouterr().err
        code, said = runs.end(process)
        assert code == 0, said
        assert refused == 4
        assert "another run holds this folder" in why


@pytest.mark.parametrize("trial", times(1, 20))
def test_a_reader_never_sees_a_half_file(trial: int, folder: Path, tally: Tally) -> None:
    """The manifest and every table, read over and over while a run writes them."""
    reads, troubles, over = 0, [], threading.Event()

    def read() -> None:
        nonlocal reads
        while not (folder / store.MANIFEST).exists() and not over.is_set():
            time.sleep(0.001)  # before the manifest there is nothing to read
        while not over.is_set():
            try:
                run = tables.load(folder).run
                json.loads((folder / store.MANIFEST).read_bytes())
                troubles.extend(text for text in run["warnings"] if "lacks the columns" not in text)
                for name in store.TABLES:
                    if (folder / f"{name}.parquet").exists():
                        pd.read_parquet(folder / f"{name}.parquet")
                reads += 1
            except Exception as error:  # whatever it is, a reader must not meet it
                troubles.append(repr(error))

    with tally("a reader during a run", "every table and the manifest whole at every read"):
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(2):
                assert runs.run(folder) == 0
        finally:
            over.set()
            reader.join()
        assert troubles == []
        assert reads > 5


def test_the_parent_leaves_alone_what_the_worker_writes_while_it_hears_the_plan(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "writes early")
    monkeypatch.setenv("FAULT_PACE_S", "0.3")  # the plan is heard before the worker looks
    assert runs.run(folder, of=runs.suite(problems=["a"])) == 0
    assert list(files.leftovers(folder)) == []
