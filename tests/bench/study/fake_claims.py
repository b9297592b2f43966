"""Three claims that cost nothing, one of an evil name, and workers that run them or die."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from bench.study.claim import Claim, Finding, Outcome, Picture, Series

EVIL = "<script>alert(1)</script> $x$ |a| [b](c)"
RATES = [0.1 * 2**power for power in range(6)]


def edge(seed: int) -> Outcome:
    """A bisected edge beside 2/λ, with a line, points with bars and a theory in two pictures."""
    steps = [100.0 / rate for rate in RATES]
    lines = [Series("measured", RATES, steps, [0.9 * each for each in steps], [1.1 * each for each in steps]),
             Series("1/rate", RATES, [99.0 / rate for rate in RATES], theory=True)]
    bars = [Series(EVIL, [0.0, 1.0, 2.0], [0.0, 0.5, 0.25], [0.0, 0.4, 0.0], [0.1, 0.6, 0.5], line=False)]
    return Outcome("holds", "The edge is 0.4998 [0.4995, 0.5001], which is 1.000 of 2/λ.", [
        Finding("edge of the quadratic with largest curvature 4", 0.4998, 0.4995, 0.5001, "", 0.5),
        Finding("steps at a tenth of the edge", 1234.0 + seed, 1200.0, 1300.0, "steps"),
        Finding("starts that diverge above it", 1.0, 0.88, 1.0, "share", 1.0),
        Finding("one step", 0.002, 0.002, 0.002, "seconds"),
    ], [Picture("Steps to the target against the rate", "rate", "steps", lines),
        Picture("Shares of " + EVIL, "rate", "share of starts", bars, x_log=True, y_log=False)])


def evil(seed: int) -> Outcome:
    """Names of every kind that could open an element or a column."""
    return Outcome("holds with limits", EVIL, [Finding(EVIL, 3.25, unit="×", expected=0.0)])


def broken(seed: int) -> Outcome:
    """An experiment that fails, or where a file exists by now succeeds."""
    if os.environ.get("FAKE_CLAIM_MENDED"):
        return Outcome("does not hold", "It does not.", [Finding("nothing", 0.0)])
    raise RuntimeError(f"out of ideas {EVIL}")


def claims() -> dict[str, Claim]:
    """By name, in the order of their numbers."""
    about = [(1, "edge", edge), (2, "broken", broken), (3, "evil", evil)]
    return {name: Claim(number, name, f"Statement of {EVIL}." if name == "evil" else f"Statement of {name}.",
                        f"Method of {name}.", run) for number, name, run in about}


def main(connection: Connection, payload: dict[str, object]) -> None:
    """The study's own worker over these claims; a suite called "kill" dies in its second one."""
    from bench.study.worker import StudyWorker
    from bench.worker import serve

    suite = payload["suite"]
    assert isinstance(suite, dict)

    class FakeStudy(StudyWorker):
        """The same with other claims."""

        def known(self) -> Mapping[str, Claim]:
            """The fakes."""
            found = claims()
            if suite["name"] == "kill":
                found["broken"] = Claim(2, "broken", "Statement of broken.", "Method.", _die)
            return found

    serve(FakeStudy, connection, payload)


def _die(seed: int) -> Outcome:
    once = Path(os.environ["FAKE_WORKER_ONCE"])
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome("does not hold", "It does not.", [])
