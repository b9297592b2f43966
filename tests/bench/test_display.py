"""What is shown: silence while the clock runs, plain lines without a terminal, nothing that can end a run."""

from __future__ import annotations

import io
import os
import pty
import select

import pytest

from bench.display import Display, time_left


def test_nothing_is_written_while_quiet_and_nothing_is_lost() -> None:
    stream = io.StringIO()
    display = Display(stream)
    display.quiet(True)
    display.line("first")
    display.progress(1.0, 2.0, "half")
    assert stream.getvalue() == ""
    display.quiet(False)
    display.line("second")
    assert stream.getvalue() == "first\nsecond\n"


def test_without_a_terminal_progress_is_plain_and_rare() -> None:
    stream = io.StringIO()
    display = Display(stream)
    for done in range(100):
        display.progress(float(done), 100.0, "a.sgd.1")
    assert stream.getvalue() == "0 % -:-- left a.sgd.1\n"


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "<script>", ":smile:", "a" * 500])
def test_names_are_shown_as_they_are(text: str) -> None:
    stream = io.StringIO()
    Display(stream).line(text)
    assert stream.getvalue() == text + "\n"


def test_a_stream_that_cannot_hold_a_letter_is_no_error() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Display(stream).line("rate ≤ 1")
    assert raw.getvalue() == b"rate ? 1\n"


def test_a_closed_pipe_mutes_the_display() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        display = Display(stream)
        for _ in range(3):
            display.line("nobody hears")
        display.progress(1.0, 2.0, "half")
        display.close()
        assert display._muted


def read(terminal: int) -> str:
    """Everything that was written to a terminal, which arrives in pieces."""
    text = b""
    while select.select([terminal], [], [], 0.2)[0]:
        text += os.read(terminal, 65_536)
    return text.decode()


@pytest.mark.parametrize("columns", ["40", "120"])
def test_a_terminal_gets_a_bar_of_one_line(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    for name, value in (("TERM", "xterm"), ("COLUMNS", columns), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        display = Display(stream)
        display.progress(0.0, 4.0, "a.sgd.1")
        display.progress(2.0, 4.0, "x" * 200)
        display.quiet(True)
        before = read(ours)
        display.progress(3.0, 4.0, "unseen")
        display.line("waits")
        display.close()
        display.line("after")
        stream.flush()
        after = read(ours)
    os.close(ours)
    assert "50 %" in before
    assert "\x1b[3" not in before  # no colour
    assert "unseen" not in before + after
    assert after.index("waits") < after.index("after")


def test_time_left_is_told_from_the_pace_since_the_first_progress() -> None:
    assert time_left(0.0, 10.0, 60.0, 11.0, 13.0) == "2:00 left"  # 1 unit a minute, 2 units to go; 10 were resumed
    assert time_left(0.0, 0.0, 3600.0, 1.0, 3.5) == "2:30:00 left"
    assert time_left(5.0, 0.0, 5.0, 0.0, 3.0) == "-:-- left"


def test_other_work_begins_a_pace_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 100.0, 1000.0, 1010.0])
    monkeypatch.setattr("bench.display.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    display = Display(stream)
    for done, total in ((0.0, 8.0), (4.0, 8.0), (0.0, 2.0), (1.0, 2.0)):
        display.progress(done, total, "x")
    assert stream.getvalue().splitlines() == ["0 % -:-- left x", "50 % 1:40 left x", "0 % -:-- left x",
                                              "50 % 0:10 left x"]
