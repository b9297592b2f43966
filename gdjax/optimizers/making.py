"""From an optimizer and a lane's numbers to an optax transformation, made inside the trace."""

from __future__ import annotations

import functools
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeVar

import jax
import optax

from gdjax.names import closest
from gdjax.problem import Problem

Function = Callable[..., optax.GradientTransformation]
Numbers = Mapping[str, jax.Array | float]
_Function = TypeVar("_Function", bound=Function)


class Range(NamedTuple):
    """Which values a number of an optimizer may have: in words, and as a test."""

    words: str
    holds: Callable[[float], bool]


SHARE = Range("inside (0, 1)", lambda value: 0 < value < 1)
SHARE_OR_0 = Range("in [0, 1)", lambda value: 0 <= value < 1)
AT_LEAST_1 = Range("at least 1", lambda value: value >= 1)
RANGES: dict[Function, Mapping[str, Range]] = {}


class NotATransformation(TypeError):
    """An optimizer gave something else than an optax transformation."""


class Wrapper(ABC):
    """An optimizer around another one: takes its numbers, and some of its own that are always lane data.

    Two wrappers that compare equal share a compiled program, so a subclass compares by what is static in it.
    """

    optimizer: Optimizer

    @property
    @abstractmethod
    def defaults(self) -> Mapping[str, float]:
        """Its own numbers and what they are when nobody gives them."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What the name of the optimizer inside is followed by in tables."""

    @abstractmethod
    def around(self, inner: optax.GradientTransformationExtraArgs, own: Numbers) -> optax.GradientTransformation:
        """The transformation around that of the optimizer inside; `own` holds each of `defaults`."""

    @abstractmethod
    def check(self, name: str, value: float) -> None:
        """Raise ValueError where one of its own numbers is out of range."""

    def __call__(self, rate: jax.Array | float) -> optax.GradientTransformation:
        """The transformation with the default numbers."""
        return make(self, rate, defaults(self))


Optimizer = Function | Wrapper


def make(optimizer: Optimizer, rate: jax.Array | float, numbers: Numbers) -> optax.GradientTransformationExtraArgs:
    """The transformation of an optimizer for one rate and its further numbers, traced or not."""
    if not isinstance(optimizer, Wrapper):
        made = optimizer(rate, **numbers)
        if not (hasattr(made, "init") and hasattr(made, "update")):
            raise NotATransformation(f"optimizer: must map a rate to an optax transformation (got {made!r}). "
                                     "Pass optax.sgd, or lambda rate: optax.chain(…).")
        return _handed_what_it_takes(optax.with_extra_args_support(made))
    own = {name: numbers[name] for name in optimizer.defaults}
    rest = {name: number for name, number in numbers.items() if name not in own}
    return optax.with_extra_args_support(optimizer.around(make(optimizer.optimizer, rate, rest), own))


def _handed_what_it_takes(made: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The transformation where its update takes any keywords, else one that hands it those it names (SAM takes few)."""
    takes = inspect.signature(made.update).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in takes):
        return made
    names = {each.name for each in takes}

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None, **given: object
    ) -> tuple[optax.Updates, optax.OptState]:
        return made.update(updates, state, params, **{name: given[name] for name in names & given.keys()})

    return optax.GradientTransformationExtraArgs(made.init, update)


def accepted(optimizer: Optimizer) -> dict[str, float | None]:
    """The numbers that an optimizer takes beside the rate, each with its default, None where that is no number."""
    if isinstance(optimizer, Wrapper):
        return {**accepted(optimizer.optimizer), **optimizer.defaults}
    found = list(inspect.signature(optimizer).parameters.values())[1:]
    return {each.name: _number(each.default) for each in found
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}


def defaults(optimizer: Optimizer, problem: Problem | None = None, given: Collection[str] = ()) -> dict[str, float]:
    """The numbers that are lane data in a call, by name in order, and what they are where a setting gives none.

    Those of wrappers, those that are given, and `f_min`, the optimum of the problem where it is known.

    Raises:
        ValueError: a given name is none of the optimizer's.
    """
    takes = accepted(optimizer)
    for name in given:
        if name not in takes:
            raise ValueError(closest("hyper", name, takes))
    found = {name: math.nan if takes[name] is None else float(takes[name] or 0) for name in given}
    if "f_min" in takes and problem is not None and problem.optimum is not None:
        found["f_min"] = float(problem.optimum)
    inside: Optimizer = optimizer
    while isinstance(inside, Wrapper):
        found |= inside.defaults
        inside = inside.optimizer
    return dict(sorted(found.items()))


def within(ranges: Mapping[str, Range]) -> Callable[[_Function], _Function]:
    """Decorator that gives numbers of an optimizer their ranges, by name: as lane data they cannot be checked inside.

    >>> from gdjax.optimizers.making import SHARE, check_number, within
    >>> @within({"blend": SHARE})
    ... def docs_blend(rate, blend=0.5):
    ...     return optax.sgd(rate * blend)
    >>> check_number(docs_blend, "blend", 2.0)
    Traceback (most recent call last):
    ...
    ValueError: hyper: blend: must be inside (0, 1) (got 2). ...
    """

    def keep(function: _Function) -> _Function:
        RANGES[function] = ranges
        return function

    return keep


def check_number(optimizer: Optimizer, name: str, value: float) -> None:
    """Raise ValueError where a number of a wrapper, or of an optimizer with ranges, is out of its range."""
    inside: Optimizer = optimizer
    while isinstance(inside, Wrapper):
        if name in inside.defaults:
            inside.check(name, value)
        inside = inside.optimizer
    while isinstance(inside, functools.partial):
        inside = inside.func
    known = RANGES.get(inside, {})
    if name in known and not known[name].holds(value):
        raise ValueError(f"hyper: {name}: must be {known[name].words} (got {value:g}). "
                         f"See gdjax.optimizers.{inside.__name__}.")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
