"""A line between the parents of two hosts: words as JSON, one a line, and why it ended."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

LIMIT = 1 << 24  # bytes of a word: the names of a hundred thousand finished groups are fewer
SEND_S = 10.0  # seconds that the other side has to take a word
# a host without power or network says nothing: asked every 5 s after 10 of silence, it is gone after 25
ALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25_000))
Word = dict[str, object]


class Link:
    """One end of a line; `gone` is why it ended, empty while it holds."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.gone = ""
        self._rest = b""
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in ALIVE:
            if hasattr(socket, name):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def say(self, kind: str, **more: object) -> None:
        """Send a word; where nobody takes it, what the other side said last is still to be heard."""
        with suppress(OSError):
            try:
                self.end.settimeout(SEND_S)
                self.end.sendall(json.dumps({"kind": kind, **more}).encode() + b"\n")
            finally:
                self.end.setblocking(False)

    def heard(self) -> list[Word]:
        """The words that have come since the last call."""
        try:
            while not self.gone:
                piece = self.end.recv(1 << 16)
                self._rest += piece
                if not piece:
                    self.gone = "connection closed"
                elif len(self._rest) > LIMIT:
                    self.gone = "it speaks without end"
        except BlockingIOError:
            pass  # nothing more has come
        except OSError as error:
            self.gone = error.strerror or str(error)
        *lines, self._rest = self._rest.split(b"\n")
        return [word for line in lines if (word := self._word(line)) is not None]

    def close(self) -> None:
        """End the line."""
        self.end.close()

    def _word(self, line: bytes) -> Word | None:
        try:
            word = json.loads(line)
        except (ValueError, RecursionError):
            word = None
        if isinstance(word, dict) and isinstance(word.get("kind"), str):
            return word
        self.gone = "it speaks another language"
        return None
