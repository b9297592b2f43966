"""A report that ends as the name of its folder says."""

import errno
import os
import signal
import time
from pathlib import Path

from bench.files import write_whole


def write_report(folder: Path) -> str:
    """Return a line, raise, run out of disk, be killed, or write a file for a minute."""
    match folder.name:
        case "returns":
            return f"process {os.getpid()}"
        case "raises":
            raise ValueError("no column of that name")
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "report.html"))
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "slow":
            write_whole(folder / "report.html", _slowly)
    return ""


def _slowly(path: Path) -> None:
    path.write_text("half", encoding="utf-8")
    path.with_name("started").touch()
    time.sleep(60)
