"""The worker of an A/A repeat: times the programs of a few groups again, as the first process did; imports JAX."""

from __future__ import annotations

from multiprocessing.connection import Connection

import pandas as pd

from bench import store, together
from bench.cells import noise_group, timing_group
from bench.experiment import Group
from bench.noise import REPEATS, Pick
from bench.problems import problem_from
from bench.samples import sampling_s
from bench.step_times import Place, step_times_again
from bench.worker import COMPILE_WEIGHT_S, Worker, at_width, serve


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Time the groups `picks` again as process `process`; messages to the parent as of any worker."""
    serve(NoiseWorker, connection, payload)


class NoiseWorker(Worker):
    """One fresh process over a sample of a suite's groups."""

    process = 1  # number of this process; 0 ran the suite
    processes = 1
    picks: tuple[Pick, ...] = ()
    label: str | None = None  # of the shard that timed them

    def take(self, payload: dict[str, object]) -> None:
        """Number of this process, of how many, and what it repeats."""
        self.process, self.processes = payload["process"], payload["processes"]  # type: ignore[assignment]
        self.picks = tuple(payload["picks"])  # type: ignore[arg-type]
        self.label = payload["shard"]  # type: ignore[assignment]

    def work(self, platform: str, began: float) -> None:
        """Steps of every picked group, interleaved, stored as one part."""
        name = noise_group(self.process, self.label)
        repeats = min(self.suite.repeats, REPEATS)
        expected_s = 2 * len(self.picks) * (COMPILE_WEIGHT_S + sampling_s(self.suite.min_sample_s, repeats))
        self.say(kind="progress", done=float(self.process - 1), total=float(self.processes), group=name,
                 text=f"A/A repeats, process {self.process} of {self.processes}", expected_s=expected_s)
        self.say(kind="quiet", on=True)
        try:
            groups, counts = self._as_first_timed(platform)
            rows = list(step_times_again(groups, counts, repeats, self.process, self.listen))
        except Exception as error:  # the run is whole without it
            self.failed(name, error, shared=True)
        else:
            self.keep(name, {"timing": pd.DataFrame(rows)})
        self.say(kind="done")

    def _as_first_timed(self, platform: str) -> tuple[list[Group], dict[Place, int]]:
        """The picked groups at the widths, and the steps of a sample of each program, that the first process had."""
        names = dict.fromkeys(spelt for spelt, _, _ in self.picks)
        problems = {spelt: problem_from(spelt, self.warn) for spelt in names}
        picked = [Group(self.suite, self.suite.settings_for(spelt), problems[spelt], optimizer, size, platform)
                  for spelt, optimizer, size in self.picks]
        first = together.told([self._first(group) for group in picked] if self.leads else [])
        counts: dict[Place, int] = {(place, kind): steps for place, programs in enumerate(first)
                                    for kind, (_, steps) in programs.items()}
        return [at_width(group, programs["batched"][0] // group.devices)
                for group, programs in zip(picked, first, strict=True)], counts

    def _first(self, group: Group) -> dict[str, tuple[int, int]]:
        """Program -> lanes side by side and steps of a sample, as the part of the first process has them."""
        part = self.folder / "parts" / store.part_name(timing_group(group.problem.name, self.label))
        timing = pd.read_parquet(part / "timing.parquet")
        timed = timing[(timing["quantity"] == "step") & (timing["optimizer"] == group.optimizer)
                       & (timing["batch_size"] == group.batch_size)].groupby("program")[["width", "steps"]].max()
        return {str(kind): (int(width), int(steps)) for kind, width, steps in timed.itertuples()}
