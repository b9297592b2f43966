"""A problem by the name that a user gives: a shipped one, or what a function of theirs makes; imports JAX."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import gdjax

Warn = Callable[[str], None]


def problem_from(name: str, warn: Warn) -> gdjax.Problem:
    """A shipped problem, or what a user's module:function makes; raises ValueError or TypeError for a bad one.

    Args:
        warn: takes what is worth a word: that code of the user's runs.
    """
    if ":" not in name:
        return gdjax.problems.get(name)
    module, _, function = name.partition(":")
    if not (module and function):
        raise ValueError(f"must be a problem's name or module:function (got {name!r}).")
    sys.path.insert(0, os.getcwd())  # a module beside the suite, as python -m would find it
    warn(f"runs code of yours: {name}")
    try:
        problem = getattr(importlib.import_module(module), function)()
    except (Exception, SystemExit) as error:  # whatever a user's module does is a fault of the suite, not of the worker
        todo = (f"Write {Path(module).stem}:{function}, in the folder of that file." if module.endswith(".py") else
                "Call the function by hand to see why.")
        raise ValueError(f"{name}: cannot be made (got {type(error).__name__}: {error}). {todo}") from error
    if not isinstance(problem, gdjax.Problem):
        raise TypeError(f"{name} must return a gdjax.Problem (got {type(problem).__name__}).")
    return problem
