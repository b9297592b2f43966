"""The other hosts of a run as process 0 sees them: they come to the meeting, are told what to do, and end with it."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import NamedTuple, cast

from bench import environment
from bench.child import Child, Signals
from bench.display import Display
from bench.door import Door
from bench.link import Link, Word
from bench.meeting import WAIT_S, Meeting
from bench.opening import config_changes
from bench.parent import BAD_INPUT, CELLS_FAILED, FOLDER, INTERRUPTED, NO_DEVICE, HostsError, Peers
from bench.store import FolderError, Run
from bench.suite import Suite, config_hash

CAUSE_S = 3.0  # seconds that hosts have to say why, where a worker of ours saw only that one is lost
LINGER_S = 3.0  # that a host which can't begin waits for the others, to tell them why
SHOWN = 8  # processes that are named in a line
ABORTED = "worker killed by SIGABRT"  # so JAX ends a process that has lost another
GONE = "it ended without a word"
ALIKE = "Start the same suite with the same options, code and versions on every host."


class Ended(NamedTuple):
    """How the work of a process ended before its time; `sure` where that was its own fault, and not another's."""

    who: str
    code: int
    text: str
    sure: bool


def hello(suite: Suite, device: str) -> Word:
    """What must be equal on all hosts, and who says it."""
    return {"host": socket.gethostname(), "config": suite.config(), "config_hash": config_hash(suite),
            "device": device, "environment": {"versions": environment.versions(),
                                              "code_sha256": environment.code_hash()}}


@contextlib.contextmanager
def gathered(meeting: Meeting | None, suite: Suite, device: str, signals: Signals,
             display: Display) -> Iterator[Hosts]:
    """All hosts of a meeting, who end when the block does; none where there is no meeting.

    Raises:
        HostsError: some did not come in time, or have another suite, code or versions; those who came are told.
    """
    hosts = Hosts(meeting, signals, display)
    try:
        if meeting is not None:
            hosts.gather(meeting, hello(suite, device))
        yield hosts
    except HostsError as error:
        hosts.over(error.code, str(error))
        raise
    except (FolderError, OSError) as error:
        hosts.over(FOLDER, str(error))
        raise
    except KeyboardInterrupt:
        hosts.over(INTERRUPTED)
        raise
    finally:
        hosts.close()


class Hosts(Peers):
    """Processes 1, 2, … of a run; none in a run of one process."""

    patience_s = 3.0

    def __init__(self, meeting: Meeting | None, signals: Signals, display: Display) -> None:
        self.meeting = meeting
        self._signals, self._display = signals, display
        self._door: Door | None = None
        self._links: dict[int, Link] = {}  # by process
        self._names: dict[int, str] = {}  # of hosts, by process
        self._unlike: dict[int, list[str]] = {}  # what they have otherwise, by process
        self._ended: dict[int, Ended] = {}  # by process
        self._failures: dict[int, tuple[str, str]] = {}  # process -> the group that its worker failed in, and why
        self._then: Callable[[], object] = lambda: None  # what to do once all have failed there
        self._agreed_by = math.inf
        self._work = 0  # number of the work that is being done
        self.text = ""  # why it ended

    @property
    def processes(self) -> int:
        """How many there are, process 0 among them."""
        return 1 if self.meeting is None else self.meeting.processes

    def gather(self, meeting: Meeting, mine: Word) -> None:
        """Wait for all hosts; raises HostsError where some are missing in the end, or differ."""
        self._door, self._names[0] = Door(meeting), str(mine["host"])
        if meeting.processes > 1:
            self._display.line(f"process 0 of {meeting.processes}: waits for the others at {meeting}")
        self._let_in(self._door, meeting, mine)
        unlike = [f"{self._who(process)} has {'; '.join(self._unlike[process][:10])}"
                  for process in sorted(self._links) if self._unlike[process]]
        if self._door.refused:
            raise HostsError(BAD_INPUT, self._door.refused)
        if absent := self._absent(meeting):
            raise HostsError(NO_DEVICE, f"--coordinator: hosts are missing after {meeting.wait_s:g} s (got no process "
                             f"{', '.join(map(str, absent[:10]))} of {meeting.processes}). Start the same command "
                             f"there, see that {meeting} is this host as seen from there, or raise --wait.")
        if unlike:
            raise HostsError(BAD_INPUT, f"--coordinator: hosts differ from process 0 (got {'; '.join(unlike)[:2000]}). "
                             + ALIKE)
        some = [self._who(process) for process in range(meeting.processes)][:SHOWN]
        self._display.line(f"{meeting.processes} process{'es' * (meeting.processes > 1)}: {', '.join(some)}"
                           + (", ..." if meeting.processes > SHOWN else ""))

    def begin(self, name: str, payload: dict[str, object]) -> dict[str, object]:
        """The payload of a worker of this host, once the others have been told to start theirs on the same work."""
        if self.meeting is None:
            return payload
        self._work += 1
        self._failures, self._agreed_by = {}, math.inf
        self._ended = {process: ended for process, ended in self._ended.items()
                       if process in self._links and self._links[process].gone}
        port = _free_port()
        for link in self._links.values():
            link.say("work", number=self._work, name=name, port=port, payload=payload)
        return {**payload, "host": self.meeting.host(port)}

    def sockets(self) -> list[socket.socket]:
        """What may hold a word for us."""
        there = [link.end for link in self._links.values() if not link.gone]
        return there if self._door is None else [*there, *self._door.sockets()]

    def agree(self, shared: bool, group: str, note: str, then: Callable[[], object]) -> None:
        """What to do about a failure of our worker: at once, or when all hosts have failed in the same group.

        Args:
            shared: whether all hosts were at it.
            then: what to do.
        """
        if not shared:
            then()
            return
        self._failures[0] = group, note
        self._then = then
        self._agreed_by = min(self._agreed_by, time.monotonic() + self._patience())

    def pause(self) -> float:
        """Seconds until all hosts should have failed where one did."""
        return math.inf if self._ended else max(0.0, self._agreed_by - time.monotonic())

    def trouble(self, child: Child) -> str | None:
        """Why the work can't go on, as far as other hosts have said it; one that was asked to stop stops us too."""
        self._hear()
        groups = [group for group, _ in self._failures.values()]
        if len(groups) == self.processes and len(set(groups)) == 1:
            self._then()
            self._failures, self._agreed_by = {}, math.inf
            child.let_go_on()
            for link in self._links.values():
                link.say("on")
        elif time.monotonic() >= self._agreed_by:
            process, (group, note) = next(iter(self._failures.items()))
            self._ended.setdefault(process, Ended(self._who(process), CELLS_FAILED,
                                                  f"it alone failed in {group}: {note}", True))
        return next((f"{ended.who}: {ended.text}" for ended in self._ended.values()), None)

    def why(self, own: str, met: bool) -> tuple[int, str]:
        """Exit code and error text of a work that ended before its time.

        Args:
            own: how the worker of this host ended.
            met: whether the workers had come together before.
        """
        deadline = time.monotonic() + CAUSE_S
        if not any(own.startswith(f"{ended.who}: ") for ended in self._ended.values()):  # else it ended for their words
            self._ended[0] = Ended(self._who(0), CELLS_FAILED, own, not own.startswith(ABORTED))
        while not any(ended.sure for ended in self._ended.values()) and (left := deadline - time.monotonic()) > 0:
            wait(self.sockets(), left)
            self._hear()
        cause = max(self._ended.values(), key=lambda ended: ended.sure)
        if not met and not cause.sure:
            self.text = (f"--coordinator: the workers of the hosts did not meet (got {cause.who}: {cause.text}). They "
                         "use ports that the system chooses: open them between the hosts, or raise --wait.")
            return NO_DEVICE, self.text
        if cause.code == CELLS_FAILED:
            who, what = (cause.who, cause.text) if cause.sure else ("a host", f"{cause.who}: {cause.text}")
            self.text = (f"--coordinator: {who} was lost (got {what}). None can go on without it. Finished cells are "
                         "kept: give the same command with --resume on every host.")
        else:
            self.text = f"{cause.who}: {cause.text}"
        return cause.code, self.text

    def over(self, code: int, text: str = "") -> None:
        """Tell all hosts that the run has ended, and how."""
        for link in self._links.values():
            link.say("over", code=code, text=text or self.text)

    def close(self) -> None:
        """End all lines."""
        for link in self._links.values():
            link.close()
        if self._door is not None:
            self._door.close()

    def _let_in(self, door: Door, meeting: Meeting, mine: Word) -> None:
        """Take in who comes until all are there or the time is up: soon, once one was sent away, but all are told."""
        deadline = time.monotonic() + meeting.wait_s
        while self._absent(meeting) and (left := deadline - time.monotonic()) > 0:
            wait([*self.sockets(), self._signals.wake], left)
            self._signals.drain()
            if self._signals.count:
                raise KeyboardInterrupt
            for process in [process for process, link in self._links.items() if link.heard() or link.gone]:
                self._links.pop(process).close()  # it left: it may come again
            for process, link, word in door.came({each: self._names[each] for each in self._links}):
                self._links[process], self._names[process] = link, str(word.get("host"))[:100]
                self._unlike[process] = _differences(mine, word)
            if door.refused:
                deadline = min(deadline, time.monotonic() + LINGER_S)

    def _absent(self, meeting: Meeting) -> list[int]:
        return [process for process in range(1, meeting.processes) if process not in self._links]

    def _patience(self) -> float:
        """Seconds that all hosts have to fail where one did."""
        return WAIT_S if self.meeting is None else self.meeting.wait_s

    def _who(self, process: int) -> str:
        return f"process {process} ({self._names[process]})"

    def _hear(self) -> None:
        if self._door is not None:
            self._door.came(self._names)  # all are there: who comes now is told so
        for process, link in [(process, link) for process, link in self._links.items() if not link.gone]:
            for word in link.heard():
                if word["kind"] == "stop":
                    self._display.line(f"{self._who(process)} was asked to stop.")
                    self._signals.count += 1
                elif word.get("number") != self._work:
                    continue  # of a work that is over
                elif word["kind"] == "failed":
                    self._failures[process] = str(word["group"]), str(word["note"])
                    self._agreed_by = min(self._agreed_by, time.monotonic() + self._patience())
                elif word["kind"] == "ended":
                    self._ended[process] = Ended(self._who(process), cast(int, word["code"]), str(word["text"]),
                                                 bool(word["sure"]))
            if link.gone:
                self._ended.setdefault(process, Ended(self._who(process), CELLS_FAILED, f"{GONE}: {link.gone}", True))


def _differences(mine: Word, theirs: Word) -> list[str]:
    """What another host has otherwise, as texts."""
    if any(type(theirs.get(key)) is not type(value) for key, value in mine.items()):
        return ["another version of the harness"]
    old, new = cast(dict[str, object], mine["environment"]), cast(dict[str, object], theirs["environment"])
    devices = [f"device: {mine['device']} -> {theirs['device']}"] if mine["device"] != theirs["device"] else []
    return [*config_changes(cast(Run, mine), cast(Run, theirs)), *devices,
            *environment.changes(old, new, processor=False)]


def _free_port() -> int:
    """A port of this host that nobody uses now: where the workers meet."""
    with socket.create_server(("", 0)) as found:
        return int(found.getsockname()[1])
