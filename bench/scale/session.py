"""A scaling run from the parent's side: it starts the walk, keeps what it tells, survives what happens to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench import environment, files, store
from bench.bad_input import field_error
from bench.child import LOG, Child, Message, Signals
from bench.display import Display
from bench.parent import BAD_INPUT, CELLS_FAILED, FINE, INTERRUPTED, guarded, listen
from bench.scale import corners
from bench.store import FolderError
from bench.watch import ran_out_of_memory

if TYPE_CHECKING:
    import pandas as pd

KIND, SCHEMA = "scale", 1
TABLE = "scaling"
WORKER = "bench.scale.worker"
REPEATS, SAMPLE_S = 10, 0.1
TIMEOUT_S = 600.0  # without a word from the worker


def check(minutes: float, max_lanes: int) -> None:
    """Raise ValueError where a number of the request has no meaning."""
    if not 0 < minutes < math.inf:
        raise ValueError(field_error("--minutes", "must be above 0 and finite", minutes, "Try --minutes 5."))
    if not 1 <= max_lanes <= corners.MOST_LANES:
        raise ValueError(field_error("--max-lanes", f"must be from 1 to {corners.MOST_LANES:,}", max_lanes,
                                     "Change it to a value in range."))


def run(problem: str, folder: Path, device: str = "auto", minutes: float = 5.0, max_lanes: int = corners.MOST_LANES, *,
        repeats: int = REPEATS, sample_s: float = SAMPLE_S, worker: str = WORKER) -> int:
    """Measure the corners of a problem into an empty folder, and return the exit code.

    Args:
        device: "auto", "cpu" or "gpu".
        minutes: time limit; corners that would not fit are skipped and told of.
        repeats, sample_s: samples of a corner, and the seconds that each lasts at least.
        worker: module with `main(connection, payload)`, run in a process of its own.

    Returns:
        0 fine, 2 bad input, 3 a corner failed or none finished, 4 the folder, 5 no such device, 130 interrupted.
    """
    display = Display()
    try:
        check(minutes, max_lanes)
    except ValueError as error:
        display.error(f"error: {error}")
        return BAD_INPUT

    def work() -> int:
        with Signals() as signals, store.locked(folder):
            if not store.is_unused(folder):
                raise FolderError(f"{folder}: is not empty (got {_names(folder)[0]!r}). Use another --out.")
            session = _Session(problem, folder, device, minutes, max_lanes, display, signals)
            try:
                return session.execute(worker, repeats, sample_s)
            finally:
                if not session.manifest:
                    (folder / LOG).unlink(missing_ok=True)

    return guarded(work, folder, display, mend="Make room, or use another --out.",
                   kept="the corners in the table are kept.")


class _Session:
    """One walk, and what is known of it."""

    def __init__(self, problem: str, folder: Path, device: str, minutes: float, max_lanes: int, display: Display,
                 signals: Signals) -> None:
        self.problem, self.folder, self.device = problem, folder, device
        self.minutes, self.max_lanes = minutes, max_lanes
        self.display, self.signals = display, signals
        self.manifest: dict[str, object] = {}
        self.told: dict[tuple[int, int], dict[str, object]] = {}
        self.trying: tuple[int, int] | None = None
        self.code = FINE

    def execute(self, worker: str, repeats: int, sample_s: float) -> int:
        """The walk, then tables, picture and words."""
        how = self._listen(worker, {"problem": self.problem, "device": self.device, "seconds": 60 * self.minutes,
                                    "max_lanes": self.max_lanes, "repeats": repeats, "sample_s": sample_s})
        self.display.close()
        if not self.manifest:
            if not self.code and how is not None:
                self.display.error(f"error: worker: ended before it had a plan (got {how}).")
            return self.code or CELLS_FAILED
        why = "not reached"
        if how is not None:
            self._lost(how)
            why = "the worker had ended"
        elif self.code == INTERRUPTED:
            why = "interrupted"
        self.signals.finish()
        return self._finish(why)

    def _listen(self, worker: str, payload: Mapping[str, object]) -> str | None:
        """The worker from start to end; None when it ended in order or was stopped, else how it died."""
        return listen(Child(worker, payload, self.folder), self.signals, TIMEOUT_S, hear=self._hear, stop=self._stop,
                      may_wait=lambda: True)

    def _stop(self) -> None:
        self.code = INTERRUPTED
        self.display.close()
        self.display.line("stopping: measured corners are kept; a second signal stops at once.")

    def _hear(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "progress":
            self.display.progress(message["done"], message["total"], message["text"])
            if "facts" in message:
                self.trying = int(str(message["facts"]["batch_size"])), int(str(message["facts"]["lanes"]))
        elif kind == "quiet":
            self.display.quiet(message["on"])
        elif kind == "plan":
            self._plan(message)
        elif kind == "ceilings":
            self.manifest["ceilings"] = message["facts"]
            self._write_manifest()
        elif kind == "group":
            self._keep(message["row"])
            self._write_table("not reached")
        elif kind == "warning":
            self.display.line(f"warning: {message['text'][:500]}")
        elif kind == "error":
            self.code = self.code or message["code"]
            self.display.error(f"error: {message['text']}")

    def _plan(self, message: Message) -> None:
        self.manifest = {
            "schema": SCHEMA, "kind": KIND, "problem": self.problem, **message["facts"], "device": message["device"],
            "optimizer": "sgd", "schedule": "constant", "batches": "own", "minutes": self.minutes,
            "max_lanes": self.max_lanes, "command": environment.command_line(), "started": environment.utc_now(),
            "finished": None, "ceilings": None, "environment": environment.describe(message["environment"]),
        }
        self._write_manifest()
        self.display.line(f"{self.problem} on {message['device']}: {len(self._planned)} corners, at most "
                          f"{self.minutes:g} min; folder {self.folder}")

    @property
    def _planned(self) -> list[tuple[int, int]]:
        """(batch size, lanes) of all corners."""
        return [(size, lanes) for size, lanes in cast(list[list[int]], self.manifest["corners"])]

    def _keep(self, row: dict[str, object]) -> None:
        self.told[cast(int, row["batch_size"]), cast(int, row["lanes"])] = row

    def _lost(self, how: str) -> None:
        """The worker died: so did the corner that it was at."""
        self.display.line(f"warning: {how[:500]}")
        if self.trying is not None and self.trying not in self.told:
            self._keep({"batch_size": self.trying[0], "lanes": self.trying[1], "note": how[:500],
                        "status": corners.OOM if ran_out_of_memory(how) else corners.FAILED})

    def _table(self, why: str) -> pd.DataFrame:
        facts = {name: self.manifest[name] for name in ("device", "problem", "examples")}
        return corners.table(corners.rows_of(self._planned, self.told, why, facts))

    def _write_table(self, why: str) -> pd.DataFrame:
        table = self._table(why)
        files.write_whole(self.folder / f"{TABLE}.parquet", lambda path: table.to_parquet(path, index=False))
        files.write_whole(self.folder / f"{TABLE}.csv", lambda path: table.to_csv(path, index=False))
        return table

    def _write_manifest(self) -> None:
        text = json.dumps(files.plain(self.manifest), indent=1, allow_nan=False, ensure_ascii=False)
        files.write_whole(self.folder / store.MANIFEST, lambda path: path.write_text(text + "\n", encoding="utf-8"))

    def _finish(self, why: str) -> int:
        """Table, manifest, picture, and what they say; the exit code."""
        from bench.scale import picture, words

        table = self._write_table(why)
        environment_of = cast(dict[str, object], self.manifest["environment"])
        environment_of["load_after"] = environment.load()
        self.manifest["finished"] = environment.utc_now()
        self._write_manifest()
        finished = table[table["status"] == corners.FINISHED]
        if finished.empty:
            self.display.error(f"error: no corner was measured (got {table['note'].iloc[0]}). "
                               "Allow more --minutes, or see log.txt.")
            return self.code or CELLS_FAILED
        self.display.show(words.shares(table))
        for text in words.sentences(table, cast(dict[str, float], self.manifest["ceilings"])):
            self.display.line(text)
        for name in picture.write(table, cast(dict[str, float], self.manifest["ceilings"]), self.folder):
            self.display.line(f"picture: {self.folder / name}")
        return self.code or (CELLS_FAILED if (table["status"] == corners.FAILED).any() else FINE)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != store.LOCK)
