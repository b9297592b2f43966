"""Cells and claims as the manifest lists them, and the names of the groups that their parts are stored by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, final


@final
class Cell(TypedDict):
    """One cell and how it ended: status "pending", "finished", "failed" or "oom"."""

    problem: str
    optimizer: str
    batch_size: int
    schedule: str
    device: str
    status: str
    note: str


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


def timing_group(problem: str) -> str:
    """Name of the group that holds the step times of one problem.

    >>> timing_group("digits-softmax")
    'digits-softmax.timing'
    """
    return f"{problem}.timing"


def gradient_group(problem: str) -> str:
    """Name of the group that holds the gradient noise scale along the trajectories of one problem.

    >>> gradient_group("digits-softmax")
    'digits-softmax.gradients'
    """
    return f"{problem}.gradients"


def noise_group(process: int) -> str:
    """Name of the group that holds what a fresh process timed again, 1 the first of them.

    >>> noise_group(1)
    'noise.1'
    """
    return f"noise.{process}"


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
    return None if "claim" in cell else timing_group(cell["problem"])


def groups_of(cells: Iterable[Cell | ClaimCell]) -> list[str]:
    """Names of all groups that cells are made of, each once, step times last."""
    cells = list(cells)
    timings = [name for cell in cells if (name := timing_group_of(cell)) is not None]
    return list(dict.fromkeys([*(group_of(cell) for cell in cells), *timings]))


def cell_name(cell: Cell | ClaimCell) -> str:
    """A cell's name in a line: its group and schedule, or its claim.

    >>> cell_name({"claim": "rate", "number": 1, "statement": "", "device": "cpu", "status": "failed", "note": ""})
    'claim.rate'
    """
    return group_of(cell) if "claim" in cell else f"{group_of(cell)} {cell['schedule']}"
