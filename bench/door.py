"""The door of a meeting: hosts that come to process 0 are asked who they are, and taken in or told why not."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

from bench.link import Link, Word
from bench.meeting import Meeting
from bench.parent import BAD_INPUT, HostsError


class Came(NamedTuple):
    """A host that was taken in: the number of its process, the line to it, and what it said of itself."""

    process: int
    link: Link
    hello: Word


class Door:
    """A port of this host that the others come to; `refused` is why one was sent away, empty while none was.

    Raises:
        HostsError: the port can't be used.
    """

    def __init__(self, meeting: Meeting) -> None:
        self.refused = ""
        self._meeting = meeting
        self._strangers: list[Link] = []  # who came and has not said who it is
        both = socket.has_dualstack_ipv6()
        try:
            self._server = socket.create_server(("", meeting.port), family=socket.AF_INET6 if both else socket.AF_INET,
                                                dualstack_ipv6=both, backlog=1024)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise HostsError(BAD_INPUT, f"--coordinator: can't listen on its port (got {meeting.port}: {why}). Use "
                             "another port, the same on all hosts.") from None
        self._server.setblocking(False)

    def sockets(self) -> list[socket.socket]:
        """Where someone may come, or say who it is."""
        return [self._server, *(link.end for link in self._strangers)]

    def came(self, names: Mapping[int, str]) -> list[Came]:
        """Who was taken in since the last call.

        Args:
            names: of the hosts that are there already, by process.
        """
        with contextlib.suppress(OSError):  # nobody, or gone already
            self._strangers.append(Link(self._server.accept()[0]))
        said = [(link, link.heard()) for link in self._strangers]
        self._strangers = [link for link, words in said if not words and not link.gone]
        found: list[Came] = []
        for link, words in said:
            if link in self._strangers:
                continue
            hello = words[0] if words else {}
            process, processes = hello.get("process"), hello.get("processes")
            if not (isinstance(process, int) and isinstance(processes, int) and 0 < process < processes):
                link.close()  # no host of ours
                continue
            there = {**names, **{each.process: str(each.hello.get("host")) for each in found}}
            wrong = self._wrong(process, processes, str(hello.get("host")), there)
            if wrong is None:
                link.say("welcome")
                found.append(Came(process, link, hello))
            else:
                self.refused = wrong
                link.say("over", code=BAD_INPUT, text=wrong)
                link.close()
        return found

    def close(self) -> None:
        """Nobody can come any more."""
        for link in self._strangers:
            link.close()
        self._server.close()

    def _wrong(self, process: int, processes: int, name: str, there: Mapping[int, str]) -> str | None:
        if processes != self._meeting.processes:
            return (f"--processes: differs from the {self._meeting.processes} of process 0 (got {processes} on {name})."
                    " Give every host the same number.")
        if process in there:
            return (f"--process-id: process {process} is there already, on {there[process]} (got {process} on {name} "
                    "too). Number the processes from 0, each differently.")
        return None
