"""The schedules by name: each is registered where it is written; and what a maker does with its numbers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from gdjax.names import closest, free, own_name, spelled
from gdjax.scalars import is_real
from gdjax.schedules.schedule import Formula, Schedule

Maker = Callable[..., Schedule]
_Maker = TypeVar("_Maker", bound=Maker)

KINDS: dict[str, Maker] = {}
BESIDE = ("horizon", "unit", "warmup")  # what every schedule has beside the numbers of its formula


def register(maker: _Maker) -> _Maker:
    """Decorator that registers a function as the maker of the schedule that bears its name.

    Args:
        maker: function whose arguments are the schedule's numbers, each with a default; the first line of its
            docstring is "what it is: formula.", which lists and plots show.

    Raises:
        TypeError: no function, or one without a name.
        ValueError: the name is taken, or an argument has no default.

    Example:
        >>> @gdjax.schedules.register
        ... def docs_dome(end: float = 0.0) -> gdjax.schedules.Schedule:
        ...     "Dome: 1 − (1 − end)·t²."
        ...     return gdjax.schedules.Schedule("docs_dome", lambda t, shape: 1 - (1 - shape[0]) * t**2, (end,))
        >>> gdjax.schedules.get("docs_dome").shape
        (0.0,)
        >>> del gdjax.schedules.KINDS["docs_dome"]  # an example leaves nothing behind
    """
    name = free("schedules", own_name("schedules", maker), KINDS)
    bare = [each.name for each in inspect.signature(maker).parameters.values() if each.default is each.empty]
    if bare:
        raise ValueError(f"schedules: {name}: every argument needs a default (got none for {', '.join(bare)}). "
                         "A suite may name it without its numbers.")
    KINDS[name] = maker
    return maker


def names() -> list[str]:
    """Names of all registered schedules.

    >>> gdjax.schedules.names()[:2]
    ['constant', 'exponential']
    """
    return list(KINDS)


def get(schedule: Schedule | str) -> Schedule:
    """A schedule by name, as its label has it: numbers that are not told are the defaults; or the schedule itself.

    Raises:
        ValueError: an unknown name, of the schedule or of a number, with the closest one; a number out of range.

    >>> gdjax.schedules.get("inverse_time(decay=20, warmup=0.1)") == gdjax.schedules.warmup(
    ...     gdjax.schedules.inverse_time(decay=20), share=0.1)
    True
    """
    if isinstance(schedule, Schedule):
        return schedule
    if not isinstance(schedule, str):
        raise TypeError(f"schedules: must be names or schedules (got {schedule!r}). Names: {', '.join(KINDS)}; "
                        "wrap a function with gdjax.schedules.custom.")
    name, given = spelled("schedules", schedule)
    if name not in KINDS:
        raise ValueError(closest("schedules", name, KINDS))
    takes = dict.fromkeys([*inspect.signature(KINDS[name]).parameters, *BESIDE])
    for key, value in given.items():
        if key not in takes:
            raise ValueError(closest(f"schedules: {name}", key, takes))
        if not is_real(value) and key != "unit":
            raise ValueError(f"schedules: {name}: {key}: must be a number (got {value!r}). "
                             f"Write it as in {name}({key}=0.5).")
    beside: dict[str, Any] = {key: given.pop(key) for key in BESIDE if key in given}
    made = KINDS[name](**given)
    return replace(made, **beside) if beside else made


def build(maker: Maker, formula: Formula, *shape: float) -> Schedule:
    """The schedule of a maker: its name, its arguments in order as the shape, and in the label those changed."""
    arguments = inspect.signature(maker).parameters.values()
    detail = ", ".join(f"{each.name}={value:g}" for each, value in zip(arguments, shape, strict=True)
                       if value != each.default)
    return Schedule(maker.__name__, formula, tuple(float(value) for value in shape), detail=detail)


def at_least(low: float, name: str, value: float) -> float:
    """The number if it is finite and at least `low`."""
    if not (is_real(value) and math.isfinite(value) and value >= low):
        raise _wrong(name, f"a finite number of at least {low}", value, low + 1)
    return value


def above_zero(name: str, value: float) -> float:
    """The number if it is a share above 0."""
    if not (is_real(value) and 0 < value <= 1):
        raise _wrong(name, "a number in (0, 1]", value, 0.5)
    return value


def below_one(name: str, value: float) -> float:
    """The number if it is a share below 1."""
    if not (is_real(value) and 0 <= value < 1):
        raise _wrong(name, "a number in [0, 1)", value, 0.25)
    return value


def whole(name: str, value: int) -> int:
    """The number if it is whole and at least 1."""
    if not (is_real(value) and math.isfinite(value) and value >= 1 and value == int(value)):
        raise _wrong(name, "a whole number of at least 1", value, 4)
    return int(value)


def _wrong(name: str, wanted: str, value: object, example: float) -> ValueError:
    return ValueError(f"schedules: {name}: must be {wanted} (got {value!r}). Give one such as {example}, or leave it "
                      "out for the default.")
