"""Names that are taken, and look-ups by name: an unknown one is answered with the closest that exists."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable

from gdjax.scalars import is_real

COLUMNS = ("lane", "start", "optimizer", "schedule", "rate", "batch_size", "status", "steps", "examples", "final_loss",
           "best_loss", "grad_norm", "held_out_loss", "accuracy")  # of `Runs.frame`, beside an optimizer's own numbers


def closest(field: str, name: str, known: Iterable[str]) -> str:
    """The error text for an unknown name: the field, the name, the closest known one, and all of them."""
    known = list(known)
    near = difflib.get_close_matches(str(name)[:100], known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{field}: unknown name (got {str(name)[:100]!r}). {hint}Known: {', '.join(known)}."


def free(field: str, name: str, known: Iterable[str]) -> str:
    """The name, if nothing is registered by it yet."""
    known = list(known)
    if name in known:
        raise ValueError(f"{field}: name is taken (got {name!r}). Choose another; taken: {', '.join(known)}.")
    return name


def own_name(field: str, function: object) -> str:
    """The name that a function was written with."""
    name = getattr(function, "__name__", "")
    if not (callable(function) and name.isidentifier()):
        raise TypeError(f"{field}: must be a function with a name of its own (got {function!r}). Write it with def.")
    return name


def spelled(field: str, text: str) -> tuple[str, dict[str, float | bool | str]]:
    """A name and the numbers that stand behind it, as a call is written; a word stands for itself.

    >>> spelled("schedules", "inverse_time(decay=20, unit=epochs)")
    ('inverse_time', {'decay': 20, 'unit': 'epochs'})
    """
    name, opened, _ = text.partition("(")
    if not opened:
        return text, {}
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or call.args:
            raise ValueError
        found = {str(each.arg): _value(each.value) for each in call.keywords}
        if len(found) < len(call.keywords):
            raise ValueError
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"{field}: must be a name, or a name with numbers, each by its name (got {text[:100]!r}). "
                         f"Write it as in {name.strip()[:50] or 'cosine'}(end=0.1).") from None
    return call.func.id, found


def _value(node: ast.expr) -> float | bool | str:
    value = node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
    if not (is_real(value) or isinstance(value, bool | str)):
        raise ValueError
    return value
