"""Names that are taken, and look-ups by name: an unknown one is answered with the closest that exists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

COLUMNS = ("lane", "start", "optimizer", "schedule", "rate", "batch_size", "status", "steps", "examples", "final_loss",
           "best_loss", "grad_norm", "held_out_loss", "accuracy")  # of `Runs.frame`, beside an optimizer's own numbers


def closest(field: str, name: str, known: Iterable[str]) -> str:
    """The error text for an unknown name: the field, the name, the closest known one, and all of them."""
    known = list(known)
    near = difflib.get_close_matches(str(name)[:100], known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{field}: unknown name (got {str(name)[:100]!r}). {hint}Known: {', '.join(known)}."
