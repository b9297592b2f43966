"""One workload in a process of its own: everybody checked against gdjax, then timed in turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection

import numpy as np

from bench import clock, device
from bench.analysis.intervals import median_interval, ratio_of_medians
from bench.parent import NO_DEVICE
from bench.peers.workload import Entry, Workload, relative
from bench.speaker import MESSAGE_LIMIT, Speaker, Stopped

SAMPLE_S = 0.1
LONG_S, FEWEST = 10.0, 3  # seconds of samples that are enough, and how many at least
AGREE = 1e-3  # largest relative difference on the same batches


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Measure one workload; messages to the parent tell what was found."""
    try:
        _Measuring(connection, **payload).run()  # type: ignore[arg-type]
    except Stopped:
        return


class _Measuring(Speaker):
    def __init__(self, connection: Connection, module: str, name: str, asked: str, repeats: int,
                 sample_s: float) -> None:
        super().__init__(connection)
        self.module, self.name, self.asked, self.repeats, self.sample_s = module, name, asked, repeats, sample_s

    def run(self) -> None:
        """Open the device, build, check, time, tell."""
        opened = device.open_device(self.asked, "float32", "highest")
        if opened.trouble:
            self.say(kind="error", code=NO_DEVICE, text=opened.trouble)
            return
        self.say(kind="plan", device=opened.platform, environment={**device.facts(), "dtype": "float32",
                                                                  "matmul_precision": "highest"})
        workload = import_module(self.module).build(self.name)
        self.say(kind="progress", text=f"{self.name}: checking")
        differences = {entry.name: math.nan if entry.difference is None else entry.difference()
                       for entry in workload.peers}
        self.say(kind="progress", text=f"{self.name}: timing")
        self.say(kind="quiet", on=True)
        losses, samples = self._timed(workload)
        self.say(kind="quiet", on=False)
        for peer in workload.peers:
            self.say(kind="group", row=row(workload, peer, samples, losses, differences[peer.name]))
        self.say(kind="done")

    def _timed(self, workload: Workload) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Median final loss of each, and seconds of the whole workload, (samples,)."""
        jobs, losses = [], {}
        for entry in workload.entries:
            answer = entry.run()
            losses[entry.name] = math.nan if entry.losses is None else float(np.median(entry.losses(answer)))
            run = _repeated(entry)
            seconds, _ = clock.once(run, 1)
            count = math.ceil(self.sample_s / seconds)
            repeats = min(self.repeats, max(FEWEST, math.ceil(LONG_S / (count * seconds))))
            jobs.append(clock.Job((entry.name,), run, count, repeats))
            self.listen()
        found: dict[str, list[float]] = {entry.name: [] for entry in workload.entries}
        parts = {entry.name: entry.share / (entry.cores if workload.per_core else 1) for entry in workload.entries}
        for sample in clock.samples(jobs, seed=0):
            self.listen()
            if not (sample.warmup or sample.voided):
                name = sample.label[0]
                found[name].append(sample.seconds / sample.count / parts[name])
        return losses, {name: np.asarray(seconds) for name, seconds in found.items()}


def _repeated(entry: Entry) -> Callable[[int], object]:
    def run(count: int) -> object:
        for _ in range(count):
            answer = entry.run()
        return answer

    return run


def row(workload: Workload, peer: Entry, samples: dict[str, np.ndarray], losses: dict[str, float],
        difference: float) -> dict[str, object]:
    """A line of the table: seconds of the whole workload by a peer and by gdjax, how many times as long, who agrees."""
    theirs, ours = samples[peer.name], samples[workload.ours.name]
    ratio = ratio_of_medians(theirs, ours, paired=False)
    found = {
        "workload": workload.name, "words": workload.words, "peer": peer.name,
        **dict(zip(("peer_s", "peer_s_low", "peer_s_high"), median_interval(theirs), strict=True)),
        **dict(zip(("gdjax_s", "gdjax_s_low", "gdjax_s_high"), median_interval(ours), strict=True)),
        "ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high,
        "goal": math.nan if peer.goal is None else peer.goal,
        "peer_samples": len(theirs), "gdjax_samples": len(ours),
        "peer_loss": losses[peer.name], "gdjax_loss": losses[workload.ours.name], "difference": difference,
    }
    return {**found, "trouble": _trouble(workload, peer, found)[:MESSAGE_LIMIT]}


def _trouble(workload: Workload, peer: Entry, found: dict[str, object]) -> str:
    """What is wrong with the comparison, or nothing."""
    if peer.difference is not None and not float(str(found["difference"])) <= AGREE:
        return f"differs from gdjax on the same work (relative difference {found['difference']:.2g})"
    if peer.losses is None:
        return ""
    far = relative(np.array([found["peer_loss"]]), np.array([found["gdjax_loss"]]))
    return "" if far <= workload.tolerance else f"ends elsewhere (median loss {found['peer_loss']:.4g}, not " \
                                                f"{found['gdjax_loss']:.4g})"
