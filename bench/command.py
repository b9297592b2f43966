"""A command of the harness as a shell takes it."""

from __future__ import annotations

import shlex


def command(*words: object) -> str:
    """`python -m bench` and these words, quoted where a shell would take them apart.

    >>> command("report", "my runs")
    "python -m bench report 'my runs'"
    """
    return shlex.join(["python", "-m", "bench", *map(str, words)])
