"""Step times and compile times of the programs, and the share of a run that scoring took."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pandas as pd

from bench.analysis.intervals import Estimate, median_interval
from bench.tables import PROGRAM, Tables

Program = tuple[str, str, int, str]  # problem, optimizer, batch size, device
COLUMNS = [*PROGRAM, "width", "trace_s", "compile_s", "first_run_s", "transfer_s", "compile_s_batched",
           "step_s_solo", "step_s_solo_low", "step_s_solo_high",
           "step_s_batched", "step_s_batched_low", "step_s_batched_high", "repeats", "voided", "scoring_share"]
_NOTHING = np.empty(0)
OF_GROUP = ["fresh", "peak_bytes", "device_peak_bytes", "lane_steps_run", "lane_steps_needed"]


class Times:
    """The timing rows of a run, found by program: (problem, optimizer, batch size, device).

    Only of the process that ran the suite: its figures belong together, the A/A repeats tell how far they may be off.
    """

    def __init__(self, timing: pd.DataFrame) -> None:
        self._rows: dict[Program, dict[tuple[str, str], pd.DataFrame]] = {}
        self._samples: dict[Program, dict[tuple[str, str], np.ndarray]] = {}
        groups = timing[timing["process"] == 0].groupby([*PROGRAM, "program", "quantity"], observed=True)
        for (p, o, b, d, program, quantity), rows in groups[["width", "warmup", "voided", "steps", "seconds"]]:
            key = (str(p), str(o), int(str(b)), str(d))
            self._rows.setdefault(key, {})[str(program), str(quantity)] = rows
            kept = ~(rows["warmup"].to_numpy(bool) | rows["voided"].to_numpy(bool))
            seconds = rows["seconds"].to_numpy(float)[kept]
            self._samples.setdefault(key, {})[str(program), str(quantity)] = seconds[np.isfinite(seconds)]

    def programs(self) -> list[Program]:
        """Every program that was timed."""
        return list(self._rows)

    def samples(self, key: Program, program: str, quantity: str = "step") -> np.ndarray:
        """Seconds of a quantity, (repeats,): warm-ups and voided samples are left out, nothing else is."""
        return self._samples.get(key, {}).get((program, quantity), _NOTHING)

    def median(self, key: Program, program: str, quantity: str) -> float:
        """Median seconds of a quantity; NaN if it was not measured."""
        samples = self.samples(key, program, quantity)
        return float(np.median(samples)) if len(samples) else math.nan

    def compile_seconds(self, key: Program) -> float:
        """Compile time of the one-lane program (what one training pays once), or else of the full-width one."""
        solo = self.median(key, "solo", "compile")
        return self.median(key, "batched", "compile") if math.isnan(solo) else solo

    def scoring_share(self, key: Program) -> float:
        """Share of a group's run time that scoring took: scored lane-marks × seconds to score a lane / run seconds."""
        scored, run = self._total(key, "scored", "steps"), self._total(key, "run", "seconds")
        return scored * self.median(key, "batched", "scoring") / run if run > 0 else math.nan

    def step(self, key: Program, program: str) -> Estimate:
        """Median seconds per lane-step with its interval."""
        return median_interval(self.samples(key, program), seed=seed_of(key, program))

    def row(self, key: Program) -> dict[str, object]:
        """One row of `timing_table`."""
        solo, batched = self.step(key, "solo"), self.step(key, "batched")
        frames = self._rows[key]
        widths = [int(rows["width"].max()) for (program, _), rows in frames.items() if program == "batched"]
        return dict(zip(PROGRAM, key, strict=True)) | {
            "width": max(widths, default=0), "trace_s": self.median(key, "solo", "trace"),
            "compile_s": self.compile_seconds(key), "first_run_s": self.median(key, "solo", "first_run"),
            "transfer_s": self.median(key, "solo", "transfer"),
            "compile_s_batched": self.median(key, "batched", "compile"),
            "step_s_solo": solo.value, "step_s_solo_low": solo.low, "step_s_solo_high": solo.high,
            "step_s_batched": batched.value, "step_s_batched_low": batched.low, "step_s_batched_high": batched.high,
            "repeats": len(self.samples(key, "solo")),
            "voided": int(sum(rows["voided"].sum() for rows in frames.values())),
            "scoring_share": self.scoring_share(key)}

    def _total(self, key: Program, quantity: str, column: str) -> float:
        rows = self._rows.get(key, {}).get(("batched", quantity))
        return 0.0 if rows is None else float(rows[column].sum())


def timing_table(tables: Tables, times: Times | None = None) -> pd.DataFrame:
    """One row per program: trace, compile and first run of one lane, transfer of the data, step seconds, scoring share.

    Args:
        tables: of one run folder.
        times: of the same tables, where the caller has them.

    Returns:
        columns `COLUMNS`, seconds, then `OF_GROUP`: of the group's run, bytes of memory, and lane-steps (counts) that
        slots of the full-width program computed and that its lanes needed; NaN where something was not measured.
    """
    times = Times(tables.timing) if times is None else times
    found = pd.DataFrame([times.row(key) for key in times.programs()], columns=COLUMNS)
    return found.merge(tables.memory[[*PROGRAM, *OF_GROUP]], how="left", on=PROGRAM) if len(found) else found.assign(
        **dict.fromkeys(OF_GROUP, math.nan))


def seed_of(key: Program, program: str) -> int:
    """A seed from the program's name, so that two programs are resampled independently and a re-run agrees."""
    return 1 + zlib.crc32(repr((key, program)).encode())
