"""`python -m bench peers` from the parent's side: one worker for each workload, a table, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench import environment, files, store
from bench.bad_input import field_error
from bench.child import LOG, Child, Message, Signals
from bench.display import Display
from bench.parent import BAD_INPUT, CELLS_FAILED, FINE, INTERRUPTED, NO_DEVICE, guarded, listen
from bench.store import FolderError

if TYPE_CHECKING:
    import pandas as pd

SIZES = (1, 8, 32, 128)
WORKLOADS = {
    "valley-16384": "bench.peers.valley", "valley-4096": "bench.peers.valley",
    **{f"digits-{kind}-{size}": "bench.peers.digits" for kind in ("shared", "own") for size in SIZES},
    "sgd-scikit-learn": "bench.peers.compiled_loops", "bgd-matmul": "bench.peers.compiled_loops",
    "quick-grid": "bench.peers.grid", "digits-cnn-32": "bench.peers.convolutions",
}
NEEDED = ("torch", "optimistix", "sklearn")
WORKER, TABLE = "bench.peers.worker", "peers"
REPEATS, SAMPLE_S = 10, 0.1
TIMEOUT_S = 900.0  # without a word from the worker


def check(only: Sequence[str], repeats: int, workloads: Mapping[str, str]) -> None:
    """Raise ValueError where a workload is not known, a number has no meaning, or a peer is not installed."""
    for name in only:
        if name not in workloads:
            raise ValueError(field_error("--only", f"must be one of {', '.join(workloads)}", name, "Choose one."))
    if repeats < 1:
        raise ValueError(field_error("--repeats", "must be at least 1", repeats, "Try --repeats 10."))
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(field_error("peers", f"needs {', '.join(NEEDED)}", f"no {', no '.join(missing)}",
                                     "Install them: make peers, or pip install -e '.[bench,peers]'."))


def run(folder: Path, device: str = "auto", only: Sequence[str] = (), repeats: int = REPEATS, *,
        sample_s: float = SAMPLE_S, worker: str = WORKER, workloads: Mapping[str, str] = WORKLOADS) -> int:
    """Measure workloads into an empty folder: peers.csv, peers.png, run.json; the exit code.

    Args:
        device: "auto", "cpu" or "gpu".
        only: names of workloads; none means all.
        repeats: samples of each, fewer (at least 3) where they take more than ten seconds together.
        sample_s: seconds that a sample lasts at least.
        worker: module with `main(connection, payload)`.
        workloads: module of each workload, by name.

    Returns:
        0 fine, 2 bad input, 3 a workload failed or a peer disagrees, 4 the folder, 5 no such device, 130 interrupted.
    """
    display = Display()
    try:
        check(only, repeats, workloads)
    except ValueError as error:
        display.error(f"error: {error}")
        return BAD_INPUT
    chosen = {name: module for name, module in workloads.items() if not only or name in only}

    def work() -> int:
        with Signals() as signals, store.locked(folder):
            if not store.is_unused(folder):
                raise FolderError(f"{folder}: is not empty. Use another --out.")
            session = _Session(folder, device, display, signals)
            for place, (name, module) in enumerate(chosen.items()):
                payload = {"module": module, "name": name, "asked": device, "repeats": repeats, "sample_s": sample_s}
                session.measure(name, payload, worker, place, len(chosen))
                if session.code in (INTERRUPTED, NO_DEVICE):
                    break
            return session.finish()

    return guarded(work, folder, display, mend="Make room, or use another --out.",
                   kept="the rows in peers.csv are kept.")


class _Session:
    """What is known of a comparison so far."""

    def __init__(self, folder: Path, device: str, display: Display, signals: Signals) -> None:
        self.folder, self.device, self.display, self.signals = folder, device, display, signals
        self.rows: list[dict[str, object]] = []
        self.manifest: dict[str, object] = {}
        self.code = FINE

    def measure(self, name: str, payload: Mapping[str, object], worker: str, place: int, total: int) -> None:
        """One workload; its failure costs the others nothing."""
        self.place, self.total = place, total
        known = len(self.rows)
        how = listen(Child(worker, payload, self.folder), self.signals, TIMEOUT_S, hear=self._hear, stop=self._stop,
                     may_wait=lambda: True)
        if how is not None:
            self.code = self.code or CELLS_FAILED
            self.display.line(f"warning: {name}: {how[:500]} (see {self.folder / LOG})")
        if len(self.rows) > known:
            table = self.table()
            files.write_whole(self.folder / f"{TABLE}.csv", lambda path: table.to_csv(path, index=False))

    def finish(self) -> int:
        """Manifest, picture, table; the exit code."""
        from bench.peers import picture, words

        self.display.close()
        self.signals.finish()
        if not self.rows:
            return self.code or CELLS_FAILED
        self.manifest["finished"] = environment.utc_now()
        text = json.dumps(files.plain(self.manifest), indent=1, allow_nan=False, ensure_ascii=False)
        files.write_whole(self.folder / store.MANIFEST, lambda path: path.write_text(text + "\n", encoding="utf-8"))
        table = self.table()
        self.display.show(words.table(table))
        for line in words.sentences(table):
            self.display.line(line)
        for drawn in picture.write(table, self.folder):
            self.display.line(f"picture: {self.folder / drawn}")
        return self.code or (CELLS_FAILED if (table["trouble"] != "").any() else FINE)

    def table(self) -> pd.DataFrame:
        """The rows so far."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def _stop(self) -> None:
        self.code = INTERRUPTED
        self.display.close()
        self.display.line("stopping: measured workloads are kept; a second signal stops at once.")

    def _hear(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "progress":
            self.display.progress(self.place, self.total, message["text"])
        elif kind == "quiet":
            self.display.quiet(message["on"])
        elif kind == "plan" and not self.manifest:
            self.manifest = {"schema": 1, "kind": "peers", "device": message["device"],
                             "command": environment.command_line(), "started": environment.utc_now(),
                             "environment": environment.describe(message["environment"])}
            self.display.line(f"{self.total} workloads on {message['device']}; folder {self.folder}")
        elif kind == "group":
            self.rows.append(message["row"])
        elif kind == "error":
            self.code = self.code or message["code"]
            self.display.error(f"error: {message['text']}")
