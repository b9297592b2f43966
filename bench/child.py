"""A process of ours, worker or report: spawned, heard over a pipe, stopped, and its death explained."""

from __future__ import annotations

import ctypes
import faulthandler
import math
import multiprocessing
import os
import pickle
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self, TypedDict, cast

from bench.cells import Cell, ClaimCell
from bench.watch import oom_kills

if TYPE_CHECKING:
    from rich.console import RenderableType

LOG = "log.txt"
LAST_LINES = 5  # of the log, that tell of a worker's end
CHATTER = "[Gloo] Rank "  # how lines begin that tell of connections between hosts
FATAL = re.compile(r"JAX distributed service detected fatal errors.*absl::Status: (.*(?:\n[0-9]+$)*)", re.MULTILINE)
STACK_S = 0.5  # seconds that a hung worker has to write where it is
STOP_S = 5.0  # seconds a worker asked to stop has
KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


class Message(TypedDict, total=False):
    """What a worker says; `kind` decides which other keys are there."""

    kind: str
    cells: list[Cell | ClaimCell]
    plan: list[tuple[str, str, int, int]]
    problems: dict[str, dict[str, object]]
    environment: dict[str, object]
    device: str
    mark_ratio: dict[str, float]
    widened: dict[str, int]
    widths: dict[str, int]
    total: float
    done: float
    expected_s: float
    lines: list[str]
    text: str
    group: str
    status: str
    note: str
    on: bool
    shared: bool
    code: int
    facts: dict[str, object]
    row: dict[str, object]
    shown: list[str] | RenderableType


class Child:
    """One process running `<module>.main(connection, payload)`; its stdout and stderr go to log.txt of the folder.

    Raises:
        OSError: the log can't be written.
    """

    def __init__(self, module: str, payload: Mapping[str, object], folder: Path, name: str = "worker") -> None:
        self._name = name
        self._log = folder / LOG
        with open(self._log, "ab") as log:  # what the process could not do is told here
            self._log_start = log.tell()
        context = multiprocessing.get_context("spawn")  # fork after JAX has started deadlocks
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=enter, args=(module, theirs, dict(payload), str(self._log)), daemon=True)
        self._oom_kills = oom_kills()
        self._process.start()
        theirs.close()

    def ready(self, others: Sequence[socket.socket], timeout: float | None) -> bool:
        """Wait for a word from the worker, for others or the time in seconds; True when the worker has something."""
        return self._connection in wait([self._connection, *others], timeout)

    def receive(self) -> Message | None:
        """The next message, or None when the worker is gone."""
        try:
            return cast(Message, self._connection.recv())
        except (EOFError, OSError, pickle.UnpicklingError):  # gone, perhaps in the middle of a word
            return None

    def ask_to_stop(self) -> None:
        """Ask the worker to end after what it is doing."""
        try:
            self._connection.send({"kind": "stop"})
        except OSError:  # it is gone: what was asked for
            return

    def cpu_s(self) -> float:
        """Processor seconds that the worker used so far; 0 when it is gone."""
        import psutil  # the parent's need: a worker starts without it

        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system

    def let_go_on(self) -> None:
        """Tell a worker that waits after a failure that all hosts have failed there."""
        with suppress(OSError):  # it is gone
            self._connection.send({"kind": "on"})

    def show_stack(self) -> None:
        """Make the worker write into its log where it is, also in the middle of compiled code."""
        if hasattr(signal, "SIGUSR1") and self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGUSR1)
            self._process.join(STACK_S)

    def terminate(self) -> None:
        """End the worker with SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """End the worker with SIGKILL."""
        self._process.kill()

    def end(self, why: str | None = None) -> str:
        """Wait for the process, by force after 5 s, and say how or why it ended, with the last lines of its log."""
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()
        code = self._process.exitcode or 0
        status = FATAL.search(self._said(20_000)) if why is None and code == -signal.SIGABRT else None
        if status is not None:
            return f"{self._how(code)}: {' '.join(status[1].split())[:200]}"
        how, tail = why or self._how(code), self._last_lines()
        return f"{how}; log ends: {tail}" if tail else f"{how}; nothing in the log"

    def _how(self, code: int) -> str:
        if code >= 0:
            return f"{self._name} ended with exit code {code}"
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        if name != "SIGKILL":
            return f"{self._name} killed by {name}"
        known = oom_kills() > self._oom_kills
        why = " of the out-of-memory killer" if known else " (often: out of memory)"
        return f"{self._name} killed by {name}{why}"

    def _said(self, last: int) -> str:
        """The last bytes that the process wrote into its log."""
        if not self._log.exists():
            return ""
        with open(self._log, "rb") as file:
            file.seek(max(self._log_start, self._log.stat().st_size - last))
            return file.read().decode("utf-8", "replace")

    def _last_lines(self) -> str:
        text = self._said(4_000).split("\n")
        lines = [line.strip()[:200] for line in text if line.strip() and not line.startswith(CHATTER)]
        stacks = [place for place, line in enumerate(lines) if line.endswith("(most recent call first):")]
        first = max(stacks[-1] - 1, 0) if stacks else len(lines) - LAST_LINES  # a stack tells by its beginning
        return " | ".join(lines[max(first, 0):][:LAST_LINES])


def enter(module: str, connection: Connection, payload: dict[str, object], log: str) -> None:
    """First function of the new process: output to the log, Ctrl-C left to the parent, no life without it."""
    with open(log, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    faulthandler.enable(2, all_threads=False)
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, 2, all_threads=False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(KILL_WITH_PARENT, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it died before we asked to die with it
        os._exit(1)
    os.environ.update(cast(Mapping[str, str], payload.get("settings", {})))  # before anything reads them
    import_module(module).main(connection, payload)


class Signals:
    """SIGINT, SIGTERM and SIGHUP counted instead of obeyed; `wake` becomes readable at each.

    After `finish()` a further signal raises KeyboardInterrupt. Signals ignored before (nohup) stay ignored.
    """

    def __init__(self) -> None:
        self.count = 0
        self._finishing = False
        self.wake, self._write_end = socket.socketpair()
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for end in (self.wake, self._write_end):
            end.setblocking(False)
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
            self._wakeup_before = signal.set_wakeup_fd(self._write_end.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._wakeup_before)
            for number, handler in self._before.items():
                signal.signal(number, cast(signal.Handlers, handler))
        self.wake.close()
        self._write_end.close()

    def drain(self) -> None:
        """Take what woke us, so that the next wait waits."""
        try:
            self.wake.recv(4096)
        except BlockingIOError:
            return

    def finish(self) -> None:
        """From here on a signal ends what is being done."""
        self._finishing = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._finishing:
            raise KeyboardInterrupt


class Stopping:
    """How a worker is stopped: asked at the first signal, ended 5 s later, killed at a second one or 5 s after that."""

    def __init__(self, signals: Signals) -> None:
        self.began = 0  # signals obeyed so far
        self._signals = signals
        self._deadline = math.inf
        self._terminated = False

    def timeout(self) -> float:
        """Seconds until the next step, infinite while nobody asked to stop."""
        return max(self._deadline - time.monotonic(), 0.0)

    def due(self) -> bool:
        """Whether a signal came or the time is up."""
        return self._signals.count > self.began or time.monotonic() >= self._deadline

    def next(self, child: Child) -> bool:
        """Take the next step; True when it was the first."""
        first, again = not self.began, self._signals.count > self.began
        self.began, self._deadline = self._signals.count, time.monotonic() + STOP_S
        if first:
            child.ask_to_stop()
        elif again or self._terminated:
            child.kill()
        else:
            child.terminate()
            self._terminated = True
        return first
