"""What a suite comes to: its groups, its problems, and what is wrong with either; imports JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gdjax
from bench.bad_input import field_error
from bench.command import command
from bench.experiment import Group, sampling_of, schedule_errors, target_losses
from bench.gradient_noise import has_noise
from bench.problems import Warn, problem_from
from bench.suite import Settings, Suite
from bench.tuning import tuning_errors

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
            _check_problem(problem, name, settings)
            if any(group.problem.name == problem.name for group in groups):
                raise ValueError(f"another problem of the suite has this name (got {problem.name!r}). Rename one.")
        except (ValueError, TypeError) as error:
            errors.append(f"problems[{i}]: {error}")
            continue
        for size in settings.batch_sizes:
            count = problem.examples if size == "all" else int(size)
            of_size = [Group(suite, settings, problem, optimizer, count, platform) for optimizer in suite.optimizers]
            wrong = _size_error(of_size[0], name)
            errors += [wrong] if wrong else []
            groups += [] if wrong else [group for group in of_size if group not in groups]
    errors += _name_errors("schedules", suite.schedules, gdjax.schedules.get)  # registered by its modules too
    errors += _name_errors("optimizers", suite.optimizers, gdjax.optimizers.get)
    return groups, list(dict.fromkeys(errors)) or tuning_errors(suite) + schedule_errors(groups)


def _name_errors(field: str, names: Sequence[str], get: Callable[[str], object]) -> list[str]:
    """What is wrong with the names of an axis, with or without numbers."""
    errors = []
    for place, name in enumerate(names):
        try:
            get(name)
        except (ValueError, TypeError) as error:
            _, _, said = str(error).partition(": ")  # which says the library's argument first
            errors.append(f"{field}[{place}]: {said}")
    return errors


def _check_problem(problem: gdjax.Problem, name: str, settings: Settings) -> None:
    """Raise ValueError or TypeError where a problem can't be run, or not to the targets that the suite gives it."""
    gdjax.preflight(problem, sampling=sampling_of(settings.sampling))
    gdjax.goals.check(problem, settings.target_on, settings.targets or ())
    if settings.targets is None and (problem.optimum is None or settings.target_on != gdjax.goals.LOSS):
        why = ("its optimum is not known, so gaps have no meaning" if problem.optimum is None else
               f"gaps are of the loss, not of target_on = {settings.target_on!r}")
        raise ValueError(f"problem {name!r}: {why} (got no targets). Give targets = "
                         f'{{ "{name}" = [{settings.target_on}, …] }}, or find some: '
                         f"{command('targets', name, '--suite', 'FILE')}.")


def _size_error(group: Group, name: str) -> str | None:
    """What is wrong with a batch size of a problem, spelt so in the suite; None where nothing is."""
    examples, size = group.problem.examples, group.batch_size
    if size > examples:
        return f'batch_sizes: {name} has {examples} examples (got {size}). Use "all" for the full batch.'
    if group.streamed and group.devices > 1:
        return field_error("devices", f"{name}: one device takes what is streamed", group.devices,
                           'Leave devices out, or sampling = "stream".')
    try:
        gdjax.preflight(group.problem, batch_size=size, sampling=group.sampling)
    except ValueError as error:
        return f"batch_sizes: {error}"
    if group.steps >= STEP_LIMIT:
        return field_error("epochs", f"{name}, batch size {size}: must come to fewer than {STEP_LIMIT:,} steps of a "
                           f"lane, not {group.steps:,}", group.settings.epochs,
                           "Lower epochs, or leave this batch size out.")
    return None


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
            "initial_loss": None if problem.optimum is None else gdjax.initial_loss(problem, mine[0].losses),
            "source": problem.source,
            "noise_scale": has_noise(mine[0]),
            "sampling": mine[0].settings.sampling,
            "stream": _buffers(mine),
            "data_sha256": _fingerprint(problem, mine[0].settings.target_on),
            "held_out_examples": problem.held_out_examples,
            "target_on": mine[0].settings.target_on,
            "targets": [{"target": target, "gap": gap}
                        for target, gap in target_losses(mine[0])],
            "budgets": {str(group.batch_size): {
                "steps": group.steps, "epochs": group.steps * group.batch_size / problem.examples,
            } for group in mine},
        }
    return found


def _buffers(groups: Sequence[Group]) -> dict[str, int] | None:
    """Examples of the largest buffer of these groups and of its blocks, where examples are streamed."""
    rule = groups[0].sampling
    if not isinstance(rule, gdjax.Stream):
        return None
    buffer, block = max(rule.for_data(group.problem.data, group.batch_size) for group in groups)
    return {"buffer": buffer, "block": block}


def _fingerprint(problem: gdjax.Problem, target_on: str) -> str | None:
    """Of the data that results follow from: those held out are among them where targets are on them."""
    if problem.data is None:
        return None
    held_out = problem.held_out is not None and target_on != gdjax.goals.LOSS
    return gdjax.data.fingerprint((problem.data, problem.held_out) if held_out else problem.data)
