"""What two runs differ in: what forbids to compare them, and what is worth knowing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.machines import several
from bench.suite import NEWER
from bench.suite_fields import ALL
from bench.target_on import LOSS

# not what is measured
_FREE = {"name", "timeout_s", "noise_groups", "noise_processes", "repeats", "min_sample_s", "devices"}
_MEASURED = (("dtype", "dtype"), ("matmul_precision", "matmul precision"), ("x64", "x64"))
_MACHINE = (("cpu_model", "processor"), ("cores_logical", "cores"), ("affinity", "cores it may use"),
            ("device_kind", "device"), ("device_count", "devices"), ("ram_bytes", "memory in bytes"))
_SAID = (("python", "Python"), ("git_commit", "commit"), ("code_sha256", "code"), ("settings", "settings"))
_SHORT = 60  # characters of a value
_CLOSE = 1e-3  # of the initial gap: targets come from a median loss that devices round differently
Run = Mapping[str, object]


def refusals(a: Run, b: Run) -> list[str]:
    """Why two runs must not be compared, one text each; empty where they may be.

    Example:
        >>> refusals({"config": {"seed": 0}}, {"config": {"seed": 1}})
        ['config.seed: differs (got 0 in A, 1 in B). Run the same suite twice.']
    """
    if "claims" in _part(a, "config") or "claims" in _part(b, "config"):
        return ["config.claims: a study of claims has no cells to compare (got one). Give two runs of cells."]
    old, new = ({**NEWER, **_part(run, "config")} for run in (a, b))
    texts = [_differs(f"config.{key}", before, after, "Run the same suite twice.")
             for key, before, after in _changes(old, new) if key not in _FREE]
    settings = [_changes(_part(a, "environment"), _part(b, "environment"), key) for key, _ in _MEASURED]
    texts += [_differs(f"environment.{key}", before, after, "Run both with the same.")
              for found in settings for key, before, after in found]
    problems = _part(a, "problems"), _part(b, "problems")
    for name in (name for name in problems[0] if name in problems[1]):
        before, after = _part(problems[0], name), _part(problems[1], name)
        texts += [_differs(f"problems.{name}.{key}", old, new, "Compare runs on the same data.")
                  for key in ("data_sha256", "examples") for _, old, new in _changes(before, after, key)]
        if not same_targets(before, after):
            texts.append(_differs(f"problems.{name}.targets", _told(before), _told(after),
                                  "Compare runs with the same targets."))
    return texts


def differences(a: Run, b: Run) -> list[str]:
    """What else differs, and may be why one is faster: "different machine" first."""
    before, after = _part(a, "environment"), _part(b, "environment")
    machine = [f"{label}: {_value(old)} in A, {_value(new)} in B"
               for key, label in _MACHINE for _, old, new in _changes(before, after, key)]
    texts = [f"different machine ({'; '.join(machine)})"] if machine else []
    shared = [_devices(run) for run in (a, b)]
    texts += [f"devices that share the lanes: {shared[0]} in A, {shared[1]} in B"] if shared[0] != shared[1] else []
    hosts = [_part(run, "environment").get("processes", 1) for run in (a, b)]
    texts += [f"processes that share the devices: {hosts[0]} in A, {hosts[1]} in B"] if hosts[0] != hosts[1] else []
    texts += [f"{name}'s {words}" for name, run in (("A", a), ("B", b)) if (words := several(run)) is not None]
    versions = _changes(_part(before, "versions"), _part(after, "versions"))
    texts += [f"{name} {_value(old)} in A, {_value(new)} in B" for name, old, new in versions]
    return texts + [f"{label}: {_value(old)} in A, {_value(new)} in B"
                    for key, label in _SAID for _, old, new in _changes(before, after, key)]


def _devices(run: Run) -> object:
    asked = _part(run, "config").get("devices", 1)
    return _part(run, "environment").get("device_count", asked) if asked == ALL else asked


def _part(of: Run, key: str) -> Run:
    found = of.get(key)
    return found if isinstance(found, Mapping) else {}


def _changes(a: Run, b: Run, only: str | None = None) -> list[tuple[str, object, object]]:
    keys = [only] if only else sorted({*a, *b})
    return [(key, a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)]


def _differs(field: str, before: object, after: object, todo: str) -> str:
    return f"{field}: differs (got {_value(before)} in A, {_value(after)} in B). {todo}"


def _value(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _told(problem: Run) -> object:
    on = _targets_on(problem)
    return _losses(problem) if on == LOSS else {on: _losses(problem)}


def _targets_on(problem: Run) -> str:
    """What the targets of a problem are on, from its facts; those of older runs are on the loss."""
    return str(problem.get("target_on") or LOSS)


def _losses(problem: Run) -> list[float]:
    targets = problem.get("targets")
    return [float(each["target"]) for each in targets] if isinstance(targets, list) else []


def same_targets(a: Run, b: Run) -> bool:
    """Whether two manifests' facts of a problem name the same targets, but for how their devices round."""
    before, after = _losses(a), _losses(b)
    if len(before) != len(after) or _targets_on(a) != _targets_on(b):
        return False
    initial, optimum = a.get("initial_loss"), a.get("optimum")
    known = isinstance(initial, int | float) and isinstance(optimum, int | float)
    room = _CLOSE * (float(initial) - float(optimum)) if known else 0.0  # type: ignore[arg-type]
    gaps = _rooms(a, room)
    return all(math.isclose(old, new, rel_tol=1e-6, abs_tol=gap)
               for old, new, gap in zip(before, after, gaps, strict=True))


def _rooms(problem: Run, room: float) -> list[float]:
    """How far each target may be off: a thousandth of its own gap; nothing where targets are losses."""
    targets = problem.get("targets")
    found = targets if isinstance(targets, list) else []
    return [room * float(each["gap"]) if isinstance(each.get("gap"), int | float) else 0.0 for each in found]
