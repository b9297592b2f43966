"""The shipped problems by name: each is registered where it is written and made when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from gdjax.names import closest, free
from gdjax.problem import Problem

Maker = Callable[[], Problem]

MAKERS: dict[str, Maker] = {}


def register(name: str) -> Callable[[Maker], Maker]:
    """Decorator that registers a function without arguments as the maker of the problem `name`.

    Args:
        name: what `get` and the reports call it; the problem made must carry the same name.

    Raises:
        ValueError: the name is taken.

    Example:
        >>> @gdjax.problems.register("docs-cube")
        ... def cube():
        ...     return gdjax.Problem(name="docs-cube", loss=lambda x: x**3, init=lambda key: jax.random.normal(key))
        >>> gdjax.problems.get("docs-cube").name
        'docs-cube'
    """

    def keep(maker: Maker) -> Maker:
        MAKERS[free("problems", name, names())] = maker
        return maker

    return keep


def names() -> list[str]:
    """Names of all registered problems, sorted.

    >>> "digits-softmax" in gdjax.problems.names()
    True
    """
    return sorted(MAKERS)


def get(name: str) -> Problem:
    """The registered problem of that name, made at the first call and the same object from then on.

    Raises:
        ValueError: no such problem; the text names the closest one and all of them.
        ImportError: the problem's data come with scikit-learn, which is not installed.

    >>> gdjax.problems.get("bowl") is gdjax.problems.get("bowl")
    True
    """
    if name not in MAKERS:
        raise ValueError(closest("problem", name, names()))
    return _make(name)


@cache
def _make(name: str) -> Problem:
    return MAKERS[name]()
