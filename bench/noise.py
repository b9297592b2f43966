"""A/A repeats: which programs are timed again in fresh processes, so that the noise between processes is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.cells import Cell, ClaimCell, timing_group
from bench.suite import Suite

REPEATS = 5  # at most so many samples of a program in each process: its median is compared, not its interval
Pick = tuple[str, str, int]  # problem as the suite spells it, optimizer, batch size
Spelt = tuple[str, str]  # a problem's name, and how the suite spells it


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
        cells: of its manifest.
        finished: groups with a part; those without step times can't be compared and are left out.
    """
    groups: dict[str, dict[Pick, None]] = {}  # by problem
    for cell in cells:
        if "claim" not in cell:
            mine = groups.setdefault(cell["problem"], {})
            spelt = suite.problems[list(groups).index(cell["problem"])]  # cells come in the order of the suite
            mine[spelt, cell["optimizer"], cell["batch_size"]] = None
    chosen = spread([list(mine) for mine in groups.values()], suite.noise_groups)
    timed = {suite.problems[place] for place, name in enumerate(groups) if timing_group(name) in finished}
    return [pick for pick in chosen if pick[0] in timed]


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
