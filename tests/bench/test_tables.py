"""A run folder is read as what this version knows, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench
from bench import cli as command_line
from tests.bench.test_store import a_run


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_text(json.dumps(a_run() | {"schema": 2}))
    return tmp_path


def test_row_22_a_newer_schema_is_refused_by_every_reader(newer: Path) -> None:
    said = f"{newer / 'run.json'}: has another schema (got 2, this version reads 1). Use the version that wrote it."
    with pytest.raises(ValueError) as caught:
        bench.load(newer)
    assert str(caught.value) == said
    for arguments in (["report", str(newer)], ["report", str(newer), "--table", "markdown"], ["doctor", str(newer)],
                      ["compare", str(newer), str(newer), "--out", str(newer / "out")], ["history", str(newer)],
                      ["merge", str(newer), "--out", str(newer.with_name("merged"))]):
        done = CliRunner().invoke(command_line.cli, arguments)
        assert done.exit_code == 4, arguments
        assert "has another schema (got 2" in done.output
    assert [path.name for path in newer.iterdir()] == ["run.json"]


def test_a_manifest_without_a_schema_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"cells": []}')
    assert bench.load(tmp_path).run["cells"] == []
