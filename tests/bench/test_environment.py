"""Every source that decides a number of a part is in the code's hash, so that its change is seen at --resume."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from bench import environment
from bench.environment import ROOT

# What measuring files import and what decides no number: names and texts, words with the parent, the folder itself.
OTHERS = {f"bench/{name}.py" for name in (
    "__init__", "bad_input", "cells", "command", "environment", "files", "meeting", "size", "speaker", "store",
    "tables", "toml_file", "watch", "analysis/__init__", "analysis/goals", "analysis/words", "analysis/reported",
    "study/__init__", "study/registry")}


def imported(path: Path) -> Iterator[str]:
    """The files of the harness that a file imports, types apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = [node for node in ast.walk(tree)
             if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    hidden = {id(node) for block in typed for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in hidden and str(node.module).startswith("bench"):
            module = Path(*str(node.module).split("."))
            names = [module / alias.name for alias in node.names]
            yield from (found.relative_to(ROOT).as_posix() for name in [*names, module]
                        for found in (ROOT / f"{name}.py", ROOT / name / "__init__.py") if found.exists())


def test_what_a_measuring_file_imports_is_hashed_too_or_known_to_decide_no_number() -> None:
    measuring = {path.relative_to(ROOT).as_posix() for name in environment.MEASURING for path in ROOT.glob(name)}
    needed = {name for path in measuring for name in imported(ROOT / path)}
    assert "bench/analysis/noise.py" in needed, "the gradient noise scale is estimated there"
    assert needed - measuring <= OTHERS
    assert not measuring & OTHERS
