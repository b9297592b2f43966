"""Runs that several tests compare with, or change a copy of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import store
from bench.executors import run_suite
from bench.suite import suite_from
from tests.bench.merging import REAL, Folders, made
from tests.once import made_once


@pytest.fixture(scope="session")
def undivided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small suite of the tests of merging as one run, its tables collected; to be read only."""

    def make(folder: Path) -> None:
        assert run_suite(suite_from(REAL), folder, "cpu", reported=False) == 0
        store.collect(folder)

    return made_once(tmp_path_factory, "undivided", make)


@pytest.fixture
def shards(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Folders of both shards of a suite, run by the fake worker; the test's own."""
    whole = made_once(tmp_path_factory, "shards", made)
    return [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in sorted(whole.iterdir())]
