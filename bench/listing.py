"""What `python -m bench list` says: problems, schedules, optimizers, claims, suites, wrapped to the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import gdjax
from bench.study.registry import known_claims
from bench.suite import shipped_suites

_WIDEST = 120  # columns; longer lines are hard to read
_NAMES = 28  # columns at most for names beside their texts
_TEXTS = 30  # columns at least for texts beside their names


def sections() -> dict[str, dict[str, str]]:
    """Title of a section -> name -> what it is.

    >>> sections()["schedules"]["linear"]
    'Linear decay: 1 − (1 − end)·t.'
    """
    with_data, without = {}, {}
    for name in gdjax.problems.names():
        problem = gdjax.problems.get(name)
        if problem.data is None:
            without[name] = problem.source
        else:
            with_data[name] = f"{problem.examples:,} examples. {problem.source}"
    return {
        "problems with data": with_data,
        "problems without data": without,
        "schedules": {name: _first_line(gdjax.schedules.KINDS[name]) for name in gdjax.schedules.names()},
        "optimizers": {name: _of(gdjax.optimizers.get(name)) for name in gdjax.optimizers.names()},
        "claims": {f"{each.number:>2} {each.name}": each.statement for each in known_claims().values()},
        "suites": {name: _comment(path) for name, path in shipped_suites().items()},
    }


def lines(title: str, entries: Mapping[str, str], width: int) -> list[str]:
    """A section as lines of at most `width` columns: names in one column, texts wrapped in another.

    Where the terminal is too narrow for both, a text begins below its name.

    >>> lines("suites", {"smoke": "A first look in under a minute"}, 30)
    ['suites (1):', '  smoke', '    A first look in under a', '    minute']
    """
    column = min(max(map(len, entries), default=0), _NAMES) + 4
    width = min(width, _WIDEST)
    below = width - column < _TEXTS
    indent = " " * (4 if below else column)
    found = [f"{title} ({len(entries)}):"]
    for name, text in entries.items():
        wrapped = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        if below or len(name) + 4 > column or not wrapped:
            found += [f"  {name}", *wrapped]
        else:
            found += [f"  {name}".ljust(column) + wrapped[0].removeprefix(indent), *wrapped[1:]]
    return found


def _first_line(function: object) -> str:
    return (getattr(function, "__doc__", None) or "").strip().split("\n")[0]


def _of(optimizer: object) -> str:
    fixed = getattr(optimizer, "keywords", {})  # of a functools.partial
    return " ".join([_first_line(getattr(optimizer, "func", optimizer)), *(f"{key}={fixed[key]}" for key in fixed)])


def _comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").split("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""
