"""What every parent of a worker does: listens to it from start to end, and ends with an exit code whatever happens."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.child import Child, Message, Signals, Stopping
from bench.display import Display
from bench.store import FolderError
from bench.watch import Watch

FINE, REPORT_FAILED, BAD_INPUT, CELLS_FAILED, FOLDER, NO_DEVICE, REGRESSION = 0, 1, 2, 3, 4, 5, 6
INTERRUPTED = 130


class HostsError(Exception):
    """The hosts of a run can't begin, or this one has lost process 0; `code` is the exit code that this means."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


class Peers:
    """Other hosts, without whom the worker of this one can't go on; here there are none.

    `patience_s` are the seconds that it has to write what is finished, once they are in trouble.
    """

    patience_s = 0.0

    def sockets(self) -> Sequence[socket.socket]:
        """What may hold a word of theirs."""
        return ()

    def pause(self) -> float:
        """Seconds until they should be asked, though they say nothing."""
        return math.inf

    def trouble(self, child: Child) -> str | None:
        """Why the worker of this host can't go on, from their words so far, or None; it is told what is for it."""
        return None


def guarded(work: Callable[[], int], folder: Path, display: Display, *, mend: str, kept: str) -> int:
    """The exit code of the work; of a folder that can't be used, or of an interruption, where that ends it.

    Args:
        work: gives the exit code; what it raises besides FolderError, HostsError, OSError, KeyboardInterrupt goes on.
        folder: named where an OSError names no file.
        display: closed at the end.
        mend: what to do after an OSError.
        kept: what an interruption leaves.
    """
    try:
        return work()
    except FolderError as error:
        display.error(f"error: {error}")
        return FOLDER
    except HostsError as error:
        display.error(f"error: {error}")
        return error.code
    except OSError as error:
        display.error(f"error: {error.filename or folder}: cannot go on (got {error.strerror or error}). {mend}")
        return FOLDER
    except KeyboardInterrupt:
        display.error(f"interrupted: {kept}")
        return INTERRUPTED
    finally:
        display.close()


def listen(child: Child, signals: Signals, timeout_s: float, *, hear: Callable[[Message], None],
           stop: Callable[[], None], may_wait: Callable[[], bool], peers: Peers | None = None) -> str | None:
    """Hear one worker from start to end; None when it ended in order or was stopped, else how it died.

    Args:
        child: the worker, just started.
        signals: a first one asks it to stop, a second one kills it.
        timeout_s: without a step of its work it is taken for hung and killed (see `bench.watch`).
        hear: takes each message; what it raises ends the worker too.
        stop: called at the first signal.
        may_wait: whether the worker need not compute while it works: it may wait for a GPU.
        peers: other hosts; where they are in trouble the worker ends.
    """
    peers, lost, hung, deadline = peers or Peers(), None, None, math.inf
    in_order, stopping, watch = False, Stopping(signals), Watch(timeout_s)
    try:
        while hung is None:
            if lost is None and (lost := peers.trouble(child)) is not None:
                child.ask_to_stop()
                deadline = time.monotonic() + peers.patience_s
            if time.monotonic() >= deadline:
                child.kill()  # what it has said is still heard
                deadline = math.inf
            if stopping.due() and stopping.next(child):
                stop()
            ready = child.ready([signals.wake, *peers.sockets()],
                                max(0.0, min(stopping.timeout(), watch.pause(), peers.pause(),
                                             deadline - time.monotonic())))
            signals.drain()
            if ready:
                message = child.receive()
                if message is None:
                    break
                watch.heard(message["kind"], message.get("expected_s", 0.0))
                in_order = in_order or message["kind"] in ("done", "error")
                hear(message)
                continue
            watch.beat(None if may_wait() else child.cpu_s())
            hung = watch.trouble()
            if hung is not None:
                child.show_stack()
                child.kill()
    except BaseException:  # the folder is lost: so is the worker's work
        child.terminate()
        child.end()
        raise
    how = child.end(hung or lost)
    return None if in_order or stopping.began else how
