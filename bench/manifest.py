"""What run.json holds, and whether an object is such a manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict, cast

from bench.cells import Cell, ClaimCell, group_of

SCHEMA = 1
KEYS: dict[str, type] = {"schema": int, "suite": str, "config": dict, "config_hash": str, "started": str, "device": str,
                         "environment": dict, "mark_ratio": dict, "problems": dict, "cells": list, "warnings": list}
OPTIONAL: dict[str, type] = {"shard": list, "plan": list, "environments": list, "made_on": dict,
                             "widths": dict}
LABEL = re.compile(r"[1-9][0-9]*-of-[1-9][0-9]*")  # of a shard


class Run(TypedDict):
    """What run.json holds; times are ISO UTC, `finished` is null until every cell has been tried and timed."""

    schema: int
    suite: str
    config: dict[str, object]
    config_hash: str
    command: list[str]
    started: str
    finished: str | None
    device: str
    environment: dict[str, object]
    mark_ratio: dict[str, float]
    problems: dict[str, dict[str, object]]
    cells: list[Cell | ClaimCell]
    warnings: list[str]
    resumed: NotRequired[list[str]]
    widened: NotRequired[dict[str, int]]  # group -> how often its grid of rates was widened
    widths: NotRequired[dict[str, int]]  # group -> lanes side by side, where memory ran out at the suite's width
    shard: NotRequired[list[int]]  # [k, K] where this is one shard of a suite
    plan: NotRequired[list[tuple[str, str, int, int]]]  # of a shard: every group of the suite, number of its shard
    environments: NotRequired[list[dict[str, object]]]  # of a merged run: the machines that its parts come from
    made_on: NotRequired[dict[str, int]]  # group -> place of its machine among these
    merged: NotRequired[list[dict[str, object]]]  # the folders that it was merged from


def wrong_key(run: Mapping[str, object]) -> str | None:
    """The first key of a manifest that is missing or of the wrong kind, or None."""
    for key, kind in KEYS.items():
        if not isinstance(run.get(key), kind):
            return f"no {key}" if key not in run else f"{key}: {str(run[key])[:40]!r}"
    for key in OPTIONAL:
        if not isinstance(run.get(key, OPTIONAL[key]()), OPTIONAL[key]):
            return f"{key}: {str(run[key])[:40]!r}"
    try:
        for cell in cast(Run, run)["cells"]:
            group_of(cell), cell["device"], cell["status"], cell["note"]
            if "shard" in cell and LABEL.fullmatch(cell["shard"]) is None:
                return f"a cell of the shard {cell['shard']!r:.40}"
    except (KeyError, TypeError):
        return "a cell that is none"
    return _wrong_place(cast(Run, run))


def _wrong_place(run: Run) -> str | None:
    """What is wrong with a shard's plan, or with the machines of a merged run."""
    shard, places = run.get("shard", [1, 1]), range(len(run.get("environments", [])))
    if len(shard) != 2 or not all(isinstance(number, int) and number > 0 for number in shard):
        return f"shard: {str(shard)[:40]!r}"
    if not all(isinstance(each, Sequence) and len(each) == 4 for each in run.get("plan", [])):
        return "a plan that is none"
    if not all(isinstance(place, int) and place in places for place in run.get("made_on", {}).values()):
        return "made_on: machines that are not there"
    return None
