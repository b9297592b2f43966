"""A command that draws a picture, from the parent's side: its workers one after the other, what they tell, its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

from bench import files
from bench.bad_input import field_error
from bench.child import Child, Message, Signals
from bench.display import Display
from bench.parent import BAD_INPUT, CELLS_FAILED, FINE, INTERRUPTED, guarded, listen
from bench.store import FolderError


class Drawn(Protocol):
    """What a command was asked for, checked."""

    @property
    def out(self) -> Path:
        """The picture."""


Request = TypeVar("Request", bound=Drawn)


class Session:
    """The workers of one command; `code` is the exit code so far, and no further worker makes sense once it is set."""

    def __init__(self, out: Path, folder: Path, display: Display, signals: Signals) -> None:
        self.out, self.display, self.signals = out, display, signals
        self.code = FINE
        self._folder = folder  # of the log
        self._rows: list[dict[str, object]] = []

    def rows(self, worker: str, payload: Mapping[str, object], name: str, mend: str) -> list[dict[str, object]]:
        """What a worker found, or what it had found when it ended before its time.

        Args:
            worker: module with `main(connection, payload)`, run in a process of its own.
            payload: for it.
            name: what the worker is doing, for its error.
            mend: what to do where it dies.
        """
        self._rows = []
        how = listen(Child(worker, payload, self._folder), self.signals, math.inf, hear=self._hear, stop=self._stop,
                     may_wait=lambda: True)  # nobody knows how long it takes
        if how is not None:
            self.code = self.code or CELLS_FAILED
            self.display.error(f"error: {name}: ended before its time (got {how[:500]}). {mend}")
        return self._rows

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around what is written at the end: a signal ends it, and a place that can't be written is an error of --out.

        Raises:
            FolderError: it can't be.
        """
        self.signals.finish()
        with _place():
            yield

    def _hear(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "plan":  # names and device are fine: look at the place before anything is computed
            with _place():
                self.out.parent.mkdir(parents=True, exist_ok=True)
                files.probe(self.out.parent)
        elif kind == "progress":
            self.display.line(message["text"])
        elif kind == "group":
            self._rows.append(message["row"])
        elif kind == "warning":
            self.display.line(f"warning: {message['text'][:500]}")
        elif kind == "error":
            self.code = self.code or message["code"]
            self.display.error(f"error: {message['text']}")

    def _stop(self) -> None:
        self.code = INTERRUPTED
        self.display.line("stopping; a second signal stops at once.")


def run(check: Callable[[], Request], work: Callable[[Session, Request], None]) -> int:
    """Check a request and work on it; the exit code.

    Args:
        check: gives the request, or raises a ValueError that says what is wrong with it.
        work: runs workers in the session, writes what they found and says it.

    Returns:
        0 fine, 2 bad input, 3 a worker died or found nothing to draw, 4 --out, 5 no such device, 130 interrupted.
    """
    display = Display()

    def whole() -> int:
        try:
            request = check()
        except ValueError as error:
            display.error(f"error: {error}")
            return BAD_INPUT
        with Signals() as signals, TemporaryDirectory(prefix="gdjax-") as folder:
            session = Session(request.out, Path(folder), display, signals)
            work(session, request)
            return session.code

    return guarded(whole, Path(), display, mend="Make room, or give another path.", kept="what is written is kept.")


def picture_path(out: Path | None, default: str, beside: str = "") -> Path:
    """Where a picture goes, or a ValueError that says why it can't go there.

    Args:
        out: what the user gave.
        default: name without suffix, in results/.
        beside: what goes beside it, in words.
    """
    path = Path("results") / f"{files.safe_name(default)}.png" if out is None else out
    if path.suffix != ".png":
        raise ValueError(field_error("--out", "must end in .png", str(path), beside or "The picture is a PNG file."))
    if path.is_dir():
        raise ValueError(field_error("--out", "is a folder", str(path), "Give the name of a file."))
    return path


@contextmanager
def _place() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FolderError(f"--out: can't be written (got {error}). Give a file in a folder that can.") from None
