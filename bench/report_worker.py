"""The process that writes a report: what its libraries take of memory goes with it, and its end costs no result."""

from __future__ import annotations

import errno
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Write the report of `folder` by `module` and say what it returned, or why there is none."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # an exception: what is half written goes
    folder, module = str(payload["folder"]), str(payload["module"])
    try:
        connection.send({"kind": "done", "shown": import_module(module).write_report(Path(folder))})
    except Exception as error:  # whatever is wrong with a report must not cost the run that it tells of
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            connection.send({"kind": "no_room", "text": f"{error.filename or folder}: cannot be written "
                                                        f"(got {error.strerror})"})
            return
        with suppress(OSError):  # into the log
            traceback.print_exc()
        connection.send({"kind": "error", "text": f"{type(error).__name__}: {str(error)[:300]}"})
