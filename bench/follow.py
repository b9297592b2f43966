"""A run over several hosts as processes 1, 2, … see it: each follows process 0 in its calls, and writes nothing."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import cast

from bench import environment
from bench.child import Child, Message, Signals
from bench.display import Display
from bench.executors import modules_of
from bench.hosts import ABORTED, hello
from bench.link import Link, Word
from bench.meeting import Meeting, share
from bench.parent import (
    BAD_INPUT,
    CELLS_FAILED,
    FINE,
    FOLDER,
    INTERRUPTED,
    NO_DEVICE,
    HostsError,
    Peers,
    guarded,
    listen,
)
from bench.suite import Suite

MEANING = {BAD_INPUT: "bad input", CELLS_FAILED: "some cells failed", FOLDER: "its folder", NO_DEVICE: "device missing",
           INTERRUPTED: "interrupted"}  # of exit codes
TRY_S = 2.0  # seconds that process 0 has to take a connection, each time
AGAIN_S = 0.2  # between two tries
LAST_S = 15.0  # for the last word of process 0, once this one can't go on


def follow(suite: Suite, device: str, meeting: Meeting, *, worker: str | None = None) -> int:
    """Do what process 0 of a meeting does until it ends, and return its exit code.

    Args:
        suite: what is run; process 0 refuses another than its own.
        device: "auto", "cpu" or "gpu", likewise.
        meeting: where process 0 is, and the number of this one.
        worker: module with `main(connection, payload)`, run in a process of its own; None: the suite's.

    Returns:
        as process 0: 0 fine, 2 bad input, 3 some cells failed, 4 its folder, 5 no such device or host, 130 interrupted.
        3 where it was lost.
    """
    display = Display()

    def work() -> int:
        with (Signals() as signals, tempfile.TemporaryDirectory(prefix="gdjax-") as place,
              contextlib.closing(_connected(meeting, hello(suite, device), signals)) as leader):
            own = modules_of(suite.config())
            modules = {"worker": worker or own.worker, "noise": own.noise}
            return _Follower(suite, meeting, modules, Path(place), display, signals, leader).run()

    return guarded(work, Path(tempfile.gettempdir()), display, mend="Make room.",
                   kept="process 0 keeps the cells that are finished.")


class _Leader(Peers):
    """Process 0: its words, in order."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.agreed = False  # whether all hosts have failed where our worker did
        self._words: list[Word] = []

    def sockets(self) -> Sequence[socket.socket]:
        """What may hold a word of it; nothing while one waits."""
        return [] if self.waits() else [self.link.end]

    def trouble(self, child: Child) -> str | None:
        """Whether it wants something else, or is gone."""
        waits = self.waits()
        if self.agreed:
            self.agreed = False
            child.let_go_on()
        return "process 0 has gone on" if waits else None

    def waits(self) -> bool:
        """Whether a word of it is here that begins or ends something, or it is gone."""
        for word in self.link.heard() if not self.link.gone else []:
            if word["kind"] == "on":
                self.agreed = True
            else:
                self._words.append(word)
        return bool(self._words or self.link.gone)

    def next(self, signals: Signals, timeout_s: float | None = None) -> Word | None:
        """Its next word; None when it is gone, the time is up, or a signal came."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        heeded = signals.count
        while not self.waits():
            left = None if deadline is None else deadline - time.monotonic()
            if signals.count > heeded or (left is not None and left <= 0):
                return None
            wait([self.link.end, signals.wake], left)
            signals.drain()
        return self._words.pop(0) if self._words else None

    def close(self) -> None:
        """End the line to it."""
        self.link.close()


class _Follower:
    """One process that follows."""

    def __init__(self, suite: Suite, meeting: Meeting, modules: Mapping[str, str | None], place: Path,
                 display: Display, signals: Signals, leader: _Leader) -> None:
        self.suite, self.meeting, self.modules, self.place = suite, meeting, modules, place
        self.display, self.signals, self.leader = display, signals, leader
        self.name = f"process {meeting.process} of {meeting.processes}"
        self.number = 0  # of the work
        self.refused: Message | None = None  # what our worker said of its own end

    def run(self) -> int:
        """Every work that process 0 begins, and then its exit code."""
        self.display.line(f"{self.name}: follows process 0 at {self.meeting} through {self.suite.name}")
        while True:
            word = self.leader.next(self.signals)
            if word is None and self.signals.count:
                self._stop()
                return self._ended_alone(INTERRUPTED, "was interrupted")
            if word is None or word["kind"] != "work":
                return self._ended_with(word)
            how = self._work(word)
            if self.leader.waits():  # it has the next word
                continue
            if self.signals.count:
                return self._ended_alone(INTERRUPTED, "was interrupted")
            if self.refused is not None:
                return self._ended_alone(self.refused["code"], self.refused["text"])
            if how is not None:
                return self._ended_alone(CELLS_FAILED, how, sure=not how.startswith(ABORTED))

    def _work(self, word: Word) -> str | None:
        """One worker from start to end; None when it ended in order, else how it died."""
        self.number, self.refused, self.leader.agreed = cast(int, word["number"]), None, False
        payload = cast(dict[str, object], word["payload"])
        child = _Deaf(str(self.modules[str(word["name"])]), {
            **payload, "folder": str(self.place), "host": self.meeting.host(cast(int, word["port"])),
            "settings": environment.worker_settings(self.suite.deterministic, str(payload["device"]),
                                                    share(self.suite.devices, self.meeting.processes))}, self.place)
        return listen(child, self.signals, self.suite.timeout_s, hear=self._hear, stop=self._stop,
                      may_wait=lambda: True, peers=self.leader)  # process 0 does some things alone

    def _hear(self, message: Message) -> None:
        if message["kind"] == "error":
            self.refused = message
        elif message["kind"] == "failed":
            self.leader.link.say("failed", number=self.number, group=message["group"], note=message["note"])

    def _stop(self) -> None:
        """Asked to stop: process 0 stops all, after what is being done."""
        self.leader.link.say("stop")
        self.display.line(f"{self.name}: asks process 0 to stop; a second signal stops at once.")

    def _ended_alone(self, code: int, text: str, *, sure: bool = True) -> int:
        """The exit code of process 0 once it was told how the work ended here, or ours where it does not answer."""
        self.leader.link.say("ended", number=self.number, code=code, text=text, sure=sure)
        patience_s = LAST_S if self.signals.count < 2 else 0.0
        while (last := self.leader.next(self.signals, patience_s)) is not None:
            if last["kind"] == "over":
                return self._ended_with(last)
        self.display.error(f"error: {self.name}: {text}")
        return code

    def _ended_with(self, word: Word | None) -> int:
        """The exit code that the last word of process 0 means, and a line that says it."""
        if word is None:
            raise HostsError(CELLS_FAILED, f"--coordinator: {self.name} has lost process 0 at {self.meeting} (got "
                             f"{self.leader.link.gone}). See there. Finished cells are kept: give the same command "
                             "with --resume on every host.")
        code = cast(int, word["code"])
        if code == FINE:
            self.display.line(f"{self.name}: ended with process 0, fine.")
        else:
            self.display.error(f"error: {self.name}: process 0 ended with exit code {code} ({MEANING.get(code, '?')})"
                               + (f": {word['text']}" if word["text"] else "."))
        return code


class _Deaf(Child):
    """A worker that is not asked to stop: process 0 needs it for what it is doing."""

    def ask_to_stop(self) -> None:
        """Process 0 has been asked."""


def _connected(meeting: Meeting, mine: Word, signals: Signals) -> _Leader:
    """Process 0, which has taken us in; raises HostsError where it does not in time, or refuses."""
    deadline, why = time.monotonic() + meeting.wait_s, "no answer"
    while (left := deadline - time.monotonic()) > 0:
        if signals.count:
            raise KeyboardInterrupt
        try:
            end = socket.create_connection((meeting.name, meeting.port), timeout=min(TRY_S, left))
        except OSError as error:
            why = error.strerror or str(error)
            wait([signals.wake], min(AGAIN_S, left))
            signals.drain()
            continue
        if end.getsockname() == end.getpeername():  # a port of ours that nobody listens on can answer itself
            end.close()
            continue
        leader = _Leader(Link(end))
        leader.link.say("hello", **mine, process=meeting.process, processes=meeting.processes)
        word = leader.next(signals, left)
        if word is not None and word["kind"] == "welcome":
            return leader
        leader.close()
        if word is not None and word["kind"] == "over":
            raise HostsError(cast(int, word["code"]), str(word["text"]))
        why = f"an answer that is none of process 0: {leader.link.gone or 'silence'}"
        wait([signals.wake], min(AGAIN_S, max(0.0, deadline - time.monotonic())))
        signals.drain()
    raise HostsError(NO_DEVICE, f"--coordinator: process 0 did not answer at {meeting} within {meeting.wait_s:g} s "
                     f"(got {why}). Start it there, mend the address, or raise --wait.")
