"""The machines that a merged run was measured on: seconds of different ones are told apart, never compared unsaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.cells import timing_group_of

SEVERAL = "seconds come from "  # how the warning begins


def fingerprint(environment: Mapping[str, object]) -> tuple[str, ...]:
    """What must be equal for seconds to be those of one machine: processor, cores, devices, hosts, memory, XLA's flags.

    >>> fingerprint({"cpu_model": "A", "affinity": [2, 3]}) == fingerprint({"cpu_model": "A", "affinity": [0, 1]})
    True
    """
    memory = environment.get("ram_bytes")
    gigabytes = round(memory / 1e9) if isinstance(memory, int | float) else None
    return tuple(map(str, (*_traits(environment).values(), environment.get("processes", 1), gigabytes)))


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """What makes two environments two devices, as texts; what one of them does not tell is no difference.

    >>> differences({"device_kind": "H100", "affinity": [0]}, {"device_kind": "H200"})
    ["device_kind: 'H100' -> 'H200'"]
    """
    return [f"{name}: {old!r} -> {new!r}" for (name, old), new in
            zip(_traits(before).items(), _traits(now).values(), strict=True) if None not in (old, new) and old != new]


def machine_words(environment: Mapping[str, object], device: str) -> str:
    """The machine in a few words: the GPU's name, or the processor's with the cores that were used.

    >>> machine_words({"cpu_model": "AMD EPYC", "affinity": [0, 1], "cores_logical": 8}, "cpu")
    'AMD EPYC, 2 cores'
    """
    kind = environment.get("device_kind")
    if device != "cpu" and kind:
        return str(kind)
    cores = _cores(environment)
    return f"{environment.get('cpu_model') or 'unknown processor'}, {cores or '?'} core{'s' * (cores != 1)}"


def busy(environment: Mapping[str, object]) -> float | None:
    """The load at the beginning where other work kept more than half of the cores busy, else None.

    >>> busy({"load_before": [3.5, 2.0, 1.0], "affinity": [0, 1]})
    3.5
    """
    loads, cores = environment.get("load_before"), _cores(environment)
    if not isinstance(loads, Sequence) or not loads or not isinstance(cores, int) or loads[0] <= cores / 2:
        return None
    return float(loads[0])


def place_of(environments: list[dict[str, object]], environment: dict[str, object]) -> int:
    """Place of a machine in a list that it is added to where its fingerprint is new."""
    for place, each in enumerate(environments):
        if fingerprint(each) == fingerprint(environment):
            return place
    environments.append(environment)
    return len(environments) - 1


def timed_on(run: Mapping[str, object], problem: str | None = None) -> Counter[int]:
    """Place of each machine that timed cells of a merged run, or of one of its problems -> how many cells.

    Empty for a run that was not merged: it has one machine.
    """
    made_on, cells = run.get("made_on"), run.get("cells")
    if not isinstance(made_on, Mapping) or not isinstance(cells, list):
        return Counter()
    groups = (timing_group_of(cell) for cell in cells if problem is None or cell.get("problem") == problem)
    found = Counter(made_on[group] for group in groups if group in made_on)
    return Counter(dict(sorted(found.items())))


def several(run: Mapping[str, object]) -> str | None:
    """The warning where seconds of a merged run come from machines with different fingerprints, else None."""
    found = list(timed_on(run))
    if len(found) < 2:
        return None
    return (f"{SEVERAL}{len(found)} machines ({'; '.join(_names(run, found))}): those of cells timed on different "
            "machines can't be compared, steps and examples can.")


def machines_remark(run: Mapping[str, object], problem: str) -> str | None:
    """What is to be said beside an answer in seconds where a problem's cells were timed on several machines."""
    found = timed_on(run, problem)
    if len(found) < 2:
        return None
    return (f"Its cells were timed on {len(found)} machines ({'; '.join(_names(run, found))}): what is sooner in "
            "seconds may be the machine.")


def machine_counts(run: Mapping[str, object]) -> list[str]:
    """The machines of a merged run, each with how many cells it timed."""
    found = timed_on(run)
    return [f"{name} ({found[place]} cells)" for place, name in zip(found, _names(run, found), strict=True)]


def _names(run: Mapping[str, object], places: Iterable[int]) -> list[str]:
    """Machines in words, each with its number, which tells alike ones apart."""
    environments = run.get("environments")
    known = environments if isinstance(environments, list) else []
    return [f"{place + 1}: {machine_words(known[place] if place < len(known) else {}, str(run.get('device')))}"
            for place in places]


def _traits(environment: Mapping[str, object]) -> dict[str, object]:
    settings = environment.get("settings")
    flags = settings.get("XLA_FLAGS", "") if isinstance(settings, Mapping) else None
    return {**{key: environment.get(key) for key in ("cpu_model", "cores_logical", "device_kind", "device_count")},
            "cores": _cores(environment), "XLA_FLAGS": flags}


def _cores(environment: Mapping[str, object]) -> object:
    affinity = environment.get("affinity")
    return len(affinity) if isinstance(affinity, Sequence) else environment.get("cores_logical")
