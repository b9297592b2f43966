"""What a suite comes to: its groups, its problems, and what is wrong with either; imports JAX."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

import gdjax
from bench.bad_input import closest, field_error
from bench.experiment import Group, schedule_errors, target_losses
from bench.gradient_noise import has_noise
from bench.suite import Suite
from bench.tuning import tuning_errors

Warn = Callable[[str], None]
STEP_LIMIT = 2**31 - 1  # gdjax counts the steps of a lane in 32 bits


def groups_of(suite: Suite, platform: str, warn: Warn) -> tuple[list[Group], list[str]]:
    """All groups of a suite in the order of its plan, and the texts of all errors.

    Args:
        platform: "cpu" or "gpu".
        warn: takes what is worth a word.
    """
    groups: list[Group] = []
    errors: list[str] = []
    for i, name in enumerate(suite.problems):
        settings = suite.settings_for(name)
        try:
            problem = problem_from(name, warn)
            gdjax.preflight(problem)
            if any(group.problem.name == problem.name for group in groups):
                raise ValueError(f"another problem of the suite has this name (got {problem.name!r}). Rename one.")
            gdjax.goals.check(problem, settings.target_on, settings.targets or ())
            if settings.targets is None and (problem.optimum is None or settings.target_on != gdjax.goals.LOSS):
                why = ("its optimum is not known, so gaps have no meaning" if problem.optimum is None else
                       f"gaps are of the loss, not of target_on = {settings.target_on!r}")
                raise ValueError(f"problem {name!r}: {why} (got no targets). Give targets = "
                                 f'{{ "{name}" = [{settings.target_on}, …] }}, or find some: '
                                 f"python -m bench targets {name} --suite FILE.")
        except (ValueError, TypeError) as error:
            errors.append(f"problems[{i}]: {error}")
            continue
        for size in settings.batch_sizes:
            count = problem.examples if size == "all" else int(size)
            if count > problem.examples:
                errors.append(f"batch_sizes: {name} has {problem.examples} examples (got {count}). "
                              'Use "all" for the full batch.')
                continue
            try:
                gdjax.preflight(problem, batch_size=count)
            except ValueError as error:
                errors.append(f"batch_sizes: {error}")
                continue
            steps = settings.budget(problem.examples, count)
            if steps >= STEP_LIMIT:
                errors.append(field_error(
                    "epochs", f"{name}, batch size {count}: must come to fewer than {STEP_LIMIT:,} steps of a lane, "
                    f"not {steps:,}", settings.epochs, "Lower epochs, or leave this batch size out."))
                continue
            for optimizer in suite.optimizers:
                group = Group(suite, settings, problem, optimizer, count, platform)
                if group not in groups:
                    groups.append(group)
    for field, names, known in (("schedules", suite.schedules, gdjax.schedules.names()),
                                ("optimizers", suite.optimizers, gdjax.optimizers.names())):  # of its modules too
        errors += [f"{field}[{i}]: unknown name (got {name!r}). {closest(name, known)}"
                   for i, name in enumerate(names) if name not in known]
    return groups, errors or tuning_errors(suite) + schedule_errors(groups)


def problem_from(name: str, warn: Warn) -> gdjax.Problem:
    """A shipped problem, or what a user's module:function makes; raises ValueError or TypeError for a bad one."""
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
        raise ValueError(f"{name}: cannot be made (got {type(error).__name__}: {error}). "
                         "Call the function by hand to see why.") from error
    if not isinstance(problem, gdjax.Problem):
        raise TypeError(f"{name} must return a gdjax.Problem (got {type(problem).__name__}).")
    return problem


def facts_of(groups: Sequence[Group], whole: Sequence[Group]) -> dict[str, dict[str, object]]:
    """What the manifest holds of each problem, by name.

    Args:
        groups: those of this run.
        whole: those of the suite, whose budgets are told.
    """
    found: dict[str, dict[str, object]] = {}
    for problem in dict.fromkeys(group.problem for group in groups):
        mine = [group for group in whole if group.problem is problem]
        found[problem.name] = {
            "examples": problem.examples, "optimum": problem.optimum,
            "optimum_tolerance": problem.optimum_tolerance,
            "initial_loss": None if problem.optimum is None else gdjax.initial_loss(problem),
            "source": problem.source,
            "noise_scale": has_noise(problem),
            "data_sha256": _fingerprint(problem, mine[0].settings.target_on),
            "held_out_examples": problem.held_out_examples,
            "target_on": mine[0].settings.target_on,
            "targets": [{"target": target, "gap": gap}
                        for target, gap in target_losses(problem, mine[0].settings)],
            "budgets": {str(group.batch_size): {
                "steps": group.steps, "epochs": group.steps * group.batch_size / problem.examples,
            } for group in mine},
        }
    return found


def _fingerprint(problem: gdjax.Problem, target_on: str) -> str | None:
    """Of the data that results follow from: those held out are among them where targets are on them."""
    if problem.data is None:
        return None
    held_out = problem.held_out is not None and target_on != gdjax.goals.LOSS
    return gdjax.data.fingerprint((problem.data, problem.held_out) if held_out else problem.data)
