"""Shards: the share of a suite's groups that one machine runs, worked out alike on every machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from bench.bad_input import SuiteError, field_error
from bench.cells import Cell, ClaimCell

if TYPE_CHECKING:
    from bench.store import Run
    from bench.suite import Suite

SHARDS = 8  # of a cluster, where none are asked for


class Shard(NamedTuple):
    """One of `of` shards; its number counts from 1."""

    number: int
    of: int

    @property
    def label(self) -> str:
        """What its cells and parts are marked by: "2-of-4"."""
        return f"{self.number}-of-{self.of}"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def suite_words(suite: str, shard: Sequence[int] | None) -> str:
    """What is run: the suite's name, and its shard (number, of) where it is one of it.

    >>> suite_words("quick", Shard(2, 4)), suite_words("quick", None)
    ('quick, shard 2/4', 'quick')
    """
    return suite if shard is None else "{}, shard {}/{}".format(suite, *shard)


def shard_from(text: str, suite: Suite) -> Shard:
    """The shard k of K that "k/K" asks for.

    Raises:
        SuiteError: no such shard, more shards than the suite has groups, or a suite of claims.

    >>> from bench.suite import load_suite
    >>> shard_from("2/4", load_suite("quick")).label
    '2-of-4'
    """
    form = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if form is None:
        raise SuiteError([field_error("--shard", "must be k/K, two whole numbers", text, "Use for example 1/4.")])
    shard = Shard(int(form[1]), int(form[2]))
    if suite.claims is not None:
        raise SuiteError([field_error("--shard", "is for suites of cells, and this is one of claims", text,
                                      "Leave it out, or write a suite file with some of the claims.")])
    if shard.of < 1:
        raise SuiteError([field_error("--shard", "K must be at least 1", text, "Use for example 1/4.")])
    if not 1 <= shard.number <= shard.of:
        raise SuiteError([field_error("--shard", f"k must be from 1 to {shard.of}", text, "Count shards from 1.")])
    groups = _groups(suite)
    if shard.of > groups:
        raise SuiteError([too_many(shard, groups)])
    return shard


def shards_for(suite: Suite, asked: int | None) -> int:
    """Into how many shards a cluster divides a suite: as many as asked for, else 8 or as many as it has groups.

    Raises:
        SuiteError: as `shard_from`.

    >>> from bench.suite import load_suite
    >>> shards_for(load_suite("quick"), None)
    8
    """
    count = max(1, min(SHARDS, _groups(suite))) if asked is None else asked
    return shard_from(f"{count}/{count}", suite).of


def _groups(suite: Suite) -> int:
    return sum(len(suite.optimizers) * len(suite.settings_for(name).batch_sizes) for name in suite.problems)


def too_many(shard: Shard, groups: int) -> str:
    """The error text where a shard would have nothing to do."""
    return field_error("--shard", f"more shards than groups: the suite has {groups}", str(shard),
                       f"Use at most {groups} shard{'s' * (groups != 1)}.")


def assigned(weights: Sequence[float], shards: int) -> list[int]:
    """Number of the shard, from 1, that runs each group: the longest first, each to the shard with the least to do.

    Weights count in whole milliseconds, so that no machine's rounding changes the sums.

    Args:
        weights: guessed seconds of every group, in the order of the plan.
        shards: how many; with at most as many as groups none is empty.

    >>> assigned([1.0, 9.0, 4.0, 5.0], 2)
    [1, 1, 2, 2]
    """
    loads = [0] * shards
    found = [0] * len(weights)
    costs = [max(1, round(1000 * weight)) for weight in weights]
    for place in sorted(range(len(costs)), key=lambda place: (-costs[place], place)):
        least = loads.index(min(loads))
        loads[least] += costs[place]
        found[place] = least + 1
    return found


def shard_of(label: str) -> Shard:
    """The shard of a label; raises ValueError where it is none.

    >>> str(shard_of("2-of-4"))
    '2/4'
    """
    number, of = label.split("-of-")
    return Shard(int(number), int(of))


def whole_of(run: Run) -> Sequence[Cell | ClaimCell]:
    """All cells of the suite that a run is a part of, in the order of its plan; where it is a shard, all pending."""
    if "shard" not in run:
        return run["cells"]
    of, schedules = run["shard"][1], cast(list[str], run["config"]["schedules"])
    return [{"problem": problem, "optimizer": optimizer, "batch_size": size, "schedule": schedule,
             "device": run["device"], "status": "pending", "note": "", "shard": Shard(number, of).label}
            for problem, optimizer, size, number in run.get("plan", []) for schedule in schedules]


def split_problems(run: Run) -> set[str]:
    """Problems of a run of which another shard has groups too."""
    own = run.get("shard", [0])[0]
    return {problem for problem, _, _, number in run.get("plan", []) if number != own}


def shards_of(cells: Iterable[Cell | ClaimCell]) -> list[str | None]:
    """Labels of the shards of cells, each once; None for cells of no shard."""
    return list(dict.fromkeys(cell.get("shard") if "claim" not in cell else None for cell in cells))
