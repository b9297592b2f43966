"""Cells and claims as the manifest lists them, and the names of the groups that their parts are stored by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NotRequired, TypedDict, final


@final
class Cell(TypedDict):
    """One cell and how it ended: status "pending", "finished", "failed" or "oom"; the label of its shard, if any."""

    problem: str
    optimizer: str
    batch_size: int
    schedule: str
    device: str
    status: str
    note: str
    shard: NotRequired[str]


@final
class ClaimCell(TypedDict):
    """One claim of a study, measured or not, with the same statuses as a cell."""

    claim: str
    number: int
    statement: str
    device: str
    status: str
    note: str


def group_name(problem: str, optimizer: str, batch_size: int) -> str:
    """Name of a group of cells: all schedules of one problem, optimizer and batch size.

    >>> group_name("digits-softmax", "sgd", 32)
    'digits-softmax.sgd.32'
    """
    return f"{problem}.{optimizer}.{batch_size}"


def timing_group(problem: str, shard: str | None = None) -> str:
    """Name of the group that holds the step times of one problem, of a shard's part of it where it has a label.

    >>> timing_group("digits-softmax"), timing_group("digits-softmax", "1-of-4")
    ('digits-softmax.timing', 'digits-softmax.timing.1-of-4')
    """
    return f"{problem}.timing{_of_shard(shard)}"


def gradient_group(problem: str) -> str:
    """Name of the group that holds the gradient noise scale along the trajectories of one problem.

    >>> gradient_group("digits-softmax")
    'digits-softmax.gradients'
    """
    return f"{problem}.gradients"


def noise_group(process: int, shard: str | None = None) -> str:
    """Name of the group that holds what a fresh process timed again, 1 the first of them; of a shard, by its label.

    >>> noise_group(1)
    'noise.1'
    """
    return f"noise.{process}{_of_shard(shard)}"


def claim_group(claim: str) -> str:
    """Name of the group that holds what came of one claim.

    >>> claim_group("rate")
    'claim.rate'
    """
    return f"claim.{claim}"


def group_of(cell: Cell | ClaimCell) -> str:
    """Name of the group that a cell belongs to."""
    if "claim" in cell:
        return claim_group(cell["claim"])
    return group_name(cell["problem"], cell["optimizer"], cell["batch_size"])


def timing_group_of(cell: Cell | ClaimCell) -> str | None:
    """Name of the group that holds the step times of a cell; claims have none."""
    return None if "claim" in cell else timing_group(cell["problem"], cell.get("shard"))


def groups_of(cells: Iterable[Cell | ClaimCell]) -> list[str]:
    """Names of all groups that cells are made of, each once, step times last: those of cells that have not failed."""
    cells = list(cells)
    timings = [name for cell in cells if cell["status"] in ("pending", "finished")
               and (name := timing_group_of(cell)) is not None]
    return list(dict.fromkeys([*(group_of(cell) for cell in cells), *timings]))


def cell_name(cell: Cell | ClaimCell) -> str:
    """A cell's name in a line: its group and schedule, or its claim.

    >>> cell_name({"claim": "rate", "number": 1, "statement": "", "device": "cpu", "status": "failed", "note": ""})
    'claim.rate'
    """
    return group_of(cell) if "claim" in cell else f"{group_of(cell)} {cell['schedule']}"


def _of_shard(label: str | None) -> str:
    return "" if label is None else f".{label}"
