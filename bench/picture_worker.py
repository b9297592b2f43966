"""The worker of a command that draws a picture: opens the device, checks names, tells what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

from bench import device
from bench.parent import BAD_INPUT, NO_DEVICE
from bench.problems import Warn
from bench.speaker import MESSAGE_LIMIT, Speaker, Stopped

Known = TypeVar("Known")
Say = Callable[[str], None]


def serve(connection: Connection, asked: str, check: Callable[[Warn], Known],
          work: Callable[[Known, Say], Iterator[object]]) -> None:
    """One request from start to end; messages to the parent as `bench.picture_session.Session` hears them.

    Args:
        asked: device, "auto", "cpu" or "gpu".
        check: what needs JAX to be checked, given what takes a warning; a ValueError, TypeError or ImportError of it
            is the user's.
        work: gives dataclasses, whose fields become rows; its second argument takes a line for the user.
    """
    speaker = Speaker(connection)
    try:
        opened = device.open_device(asked, "float32", "highest")
        if opened.trouble:
            speaker.say(kind="error", code=NO_DEVICE, text=opened.trouble)
            return
        if opened.warning:
            speaker.say(kind="warning", text=opened.warning)
        try:
            known = check(lambda text: speaker.say(kind="warning", text=text[:MESSAGE_LIMIT]))
        except (ValueError, TypeError, ImportError) as error:
            speaker.say(kind="error", code=BAD_INPUT, text=str(error))
            return
        speaker.say(kind="plan")
        for found in work(known, lambda text: speaker.say(kind="progress", text=text)):
            speaker.say(kind="group", row=vars(found))
        speaker.say(kind="done")
    except Stopped:
        return
