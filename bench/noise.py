"""A/A repeats: which programs are timed again in fresh processes, so that the noise between processes is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.cells import Cell, ClaimCell, noise_group, timing_group_of
from bench.shards import shards_of, whole_of
from bench.store import Run
from bench.suite import Suite

REPEATS = 5  # at most so many samples of a program in each process: its median is compared, not its interval
Pick = tuple[str, str, int]  # problem as the suite spells it, optimizer, batch size


def processes_of(config: Mapping[str, object]) -> int:
    """How many fresh processes a suite's config asks for; 0 for claims, and for runs made before there were any.

    >>> processes_of({"name": "x", "noise_groups": 3, "noise_processes": 2})
    2
    """
    groups, processes = config.get("noise_groups", 0), config.get("noise_processes", 0)
    return processes if groups and isinstance(processes, int) else 0


def picked(suite: Suite, cells: Iterable[Cell | ClaimCell], finished: Sequence[str]) -> list[Pick]:
    """The groups that are timed again: spread over problems and batch sizes, the same ones whenever they are asked for.

    Args:
        suite: whose `noise_groups` says how many.
        cells: all of the suite.
        finished: groups with a part; those without step times can't be compared and are left out.
    """
    return [pick for _, pick in _picked(suite, list(cells), finished)]


def picked_by_shard(suite: Suite, run: Run, finished: Sequence[str]) -> dict[str | None, list[Pick]]:
    """What `picked` gives for a run, by the label of the shard that timed it; None: of no shard.

    A shard repeats what is its own of the groups that the whole suite would repeat, so that each is repeated once and
    on the machine that timed it.

    Args:
        suite: of the run.
        run: its manifest.
        finished: its groups with a part.
    """
    found: dict[str | None, list[Pick]] = {}
    for label, pick in _picked(suite, whole_of(run), finished):
        found.setdefault(label, []).append(pick)
    return found


def parts_of_repeats(run: Run) -> list[str]:
    """Names of the groups of all A/A repeats that belong to a run."""
    processes, count = processes_of(run["config"]), run["config"].get("noise_groups")
    own = shards_of(run["cells"]) or [None]
    if isinstance(count, int) and own != [None]:
        sampled = {cell.get("shard") for cell in _sample(whole_of(run), count)}
        own = [label for label in own if label in sampled]
    return [noise_group(process, label) for label in own for process in range(1, processes + 1)]


def spread(groups: Sequence[Sequence[Pick]], count: int) -> list[Pick]:
    """So many of the groups, or all: evenly over the lists of problems and over the places in each list.

    >>> spread([[("a", "sgd", 1), ("a", "sgd", 8)], [("b", "sgd", 1), ("b", "sgd", 8)]], 2)
    [('a', 'sgd', 1), ('b', 'sgd', 8)]
    """
    chosen: list[Pick] = []
    count = min(count, sum(len(mine) for mine in groups))
    for turn in range(count):
        share = (2 * turn + 1) / (2 * count)
        free = [pick for pick in groups[int(share * len(groups))] if pick not in chosen]
        free = free or [pick for mine in groups for pick in mine if pick not in chosen]
        chosen.append(free[int(share * len(free))])
    return chosen


def _picked(suite: Suite, cells: Sequence[Cell | ClaimCell], finished: Sequence[str]) -> list[tuple[str | None, Pick]]:
    names = dict.fromkeys(cell["problem"] for cell in cells if "claim" not in cell)
    spelt = dict(zip(names, suite.problems, strict=False))  # cells come in the order of the suite
    there = set(finished)
    return [(cell.get("shard"), (spelt[cell["problem"]], cell["optimizer"], cell["batch_size"]))
            for cell in _sample(cells, suite.noise_groups) if timing_group_of(cell) in there]


def _sample(cells: Iterable[Cell | ClaimCell], count: int) -> list[Cell]:
    """One cell of each sampled group."""
    groups: dict[str, dict[Pick, Cell]] = {}  # by problem
    for cell in cells:
        if "claim" not in cell:
            pick = cell["problem"], cell["optimizer"], cell["batch_size"]
            groups.setdefault(cell["problem"], {}).setdefault(pick, cell)
    return [groups[pick[0]][pick] for pick in spread([list(mine) for mine in groups.values()], count)]
