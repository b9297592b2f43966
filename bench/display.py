"""What the parent shows: a live bar on a terminal, plain lines elsewhere, nothing while the clock runs."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn

PLAIN_EVERY_S = 10.0  # seconds between progress lines where there is no terminal
NO_EDGE = 10_000  # columns of a file or a pipe


class Display:
    """Lines and progress on a stream that may be a terminal, a file or a pipe closed early.

    While quiet, nothing is written or redrawn; lines wait. A closed pipe mutes the display, the run goes on.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._muted = self._quiet = False
        self._waiting: list[str] = []
        self._began: tuple[float, float, float] | None = None  # time, work done and total at the start
        self._last_plain = -PLAIN_EVERY_S
        self._bar: Progress | None = None
        reconfigure = getattr(self._stream, "reconfigure", None)
        if callable(reconfigure):
            reconfigure(errors="replace")  # LANG=C must not end a run
        self._console = _Console(file=self._stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
        if not self._console.is_terminal and not os.environ.get("COLUMNS"):  # rich takes 80, or a width of stdin's
            self._console.width = NO_EDGE
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal

    def line(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
        if self._quiet:
            self._waiting.append(text)
        else:
            self._write(text)

    def show(self, table: RenderableType) -> None:
        """Write a table that fits itself to the width."""
        self.close()
        self._guard(lambda: self._console.print(table, soft_wrap=False))
        self._guard(self._stream.flush)

    def error(self, text: str) -> None:
        """Write lines to stderr, at once."""
        self.close()
        with suppress(OSError):
            print(text.encode(sys.stderr.encoding or "utf-8", "replace").decode(sys.stderr.encoding or "utf-8"),
                  file=sys.stderr, flush=True)

    def progress(self, done: float, total: float, text: str) -> None:
        """Show how far the run is; `done` and `total` are weights of work in any unit."""
        now = time.monotonic()
        if self._began is None or self._began[2] != total:  # other work has a pace of its own
            self._began = now, done, total
        if self._quiet:
            return
        left = time_left(*self._began[:2], now, done, total)
        words = f"{100 * done / total if total > 0 else 100:.0f} % {left} {text}"
        if self._live:
            self._redraw(done, total, words)
        elif now - self._last_plain >= PLAIN_EVERY_S:
            self._last_plain = now
            self._write(words)

    def quiet(self, on: bool) -> None:
        """Stop every write while `on`; then write what waited."""
        self._quiet = on
        if not on:
            waiting, self._waiting = self._waiting, []
            for text in waiting:
                self._write(text)

    def close(self) -> None:
        """End the bar and write what waited; the display can still take lines."""
        self.quiet(False)
        bar, self._bar = self._bar, None
        if bar is not None:
            self._guard(bar.stop)

    def _write(self, text: str) -> None:
        self._guard(lambda: self._console.print(text))
        self._guard(self._stream.flush)

    def _redraw(self, done: float, total: float, words: str) -> None:
        if self._bar is None:
            columns = BarColumn(bar_width=self._bar_width()), TextColumn("{task.description}", markup=False)
            bar = Progress(*columns, console=self._console, auto_refresh=False)  # no thread redraws while timing
            bar.add_task(words, total=total)
            self._bar = bar
            self._guard(bar.start)
        bar = self._bar
        room = max(self._console.width - self._bar_width() - 2, 10)
        self._guard(lambda: bar.update(bar.task_ids[0], completed=done, total=total, description=words[:room]))
        self._guard(bar.refresh)

    def _bar_width(self) -> int:
        return max(4, self._console.width // 5)

    def _guard(self, write: object) -> None:
        if self._muted or not callable(write):
            return
        try:
            write()
        except (OSError, ValueError):  # closed pipe, closed stream, lost terminal
            self._muted = True
            self._bar = None
            _discard_output(self._stream)


class _Console(Console):
    """A console whose closed pipe is an error to catch: rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def time_left(began: float, done_then: float, now: float, done: float, total: float) -> str:
    """Time left at the pace since the first progress, as text; times in seconds.

    >>> time_left(0.0, 0.0, 60.0, 1.0, 3.0)
    '2:00 left'
    """
    pace = (done - done_then) / (now - began) if now > began else 0.0
    if pace <= 0:
        return "-:-- left"
    seconds = int((total - done) / pace)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02} left" if hours else f"{minutes}:{seconds % 60:02} left"


def _discard_output(stream: TextIO) -> None:
    """Point a broken stream at nothing, so that the interpreter can flush it at exit."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
