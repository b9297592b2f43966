"""The worker's end of its connection: it says what it does, and hears there whether the parent wants the end."""

from __future__ import annotations

from multiprocessing.connection import Connection

MESSAGE_LIMIT = 500  # characters of a text that is not ours


class Stopped(BaseException):
    """The parent asked for the end; no handler of a cell's own errors may take it for one."""


class Speaker:
    """What every worker does with its connection (messages: `bench.child.Message`)."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def say(self, **message: object) -> None:
        """A message to the parent; a parent that asked for the end is obeyed here."""
        self.connection.send(message)
        if self.connection.poll() and self.connection.recv().get("kind") == "stop":
            raise Stopped

    def listen(self) -> None:
        """Between two samples: whether the parent wants the end, heard by the next word to it."""
        if self.connection.poll():
            self.say(kind="quiet", on=True)
