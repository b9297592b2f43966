"""A suite in a loop with a random kill each minute: memory of the parent flat, no orphans, no leftovers.

`python -m tests.faults.soak --suite quick --minutes 30` prints its figures; exit code 1 where one is not as it should.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from bench import files, store
from tests.faults import runs

PARENTS_TIME = 0.25  # of the soak, in which half of the kills hit the parent; then it lives on and its memory is judged
JUDGED = 3  # runs of one life, at least, to say that memory is flat
GROWTH_LIMIT = 1.10  # of the parent's memory, from the second run of its life: the first fills caches
ORPHAN_S = 5.0  # seconds that a worker may outlive its parent
LOOP = """
import sys
from pathlib import Path
import psutil
from bench.executors import run_suite
from bench.suite import load_suite
place, suite, number = Path(sys.argv[1]), load_suite(sys.argv[2]), int(sys.argv[3])
while True:
    code = run_suite(suite, place / str(number), "cpu", True)
    with open(place / "done.txt", "a") as done:
        print(number, code, psutil.Process().memory_info().rss, file=done)
    if code == 130:
        sys.exit(code)
    number += 1
"""


class Soak:
    """A parent that runs a suite over and over, hurt now and then, and what was seen of it."""

    def __init__(self, place: Path, suite: str) -> None:
        self.place, self.suite = place, suite
        self.codes: Counter[int] = Counter()
        self.kills: Counter[str] = Counter()
        self.lives: list[list[int]] = []  # bytes of the parent after each run, for each of its lives
        self.orphans = self.leftovers = self.damaged = self.lost = 0
        self._before: dict[str, tuple[int, str]] = {}  # whole parts when the parent was killed
        self.start()

    def start(self) -> None:
        """A new parent, which goes on with the run that the last one left."""
        self.lives.append([])
        number = sum(self.codes.values())
        with open(self.place / "shown.txt", "a", encoding="utf-8") as shown:
            self.parent = subprocess.Popen(
                [sys.executable, "-c", LOOP, str(self.place), self.suite, str(number)], stdout=shown, stderr=shown,
                cwd=runs.ROOT, env=os.environ | {"PYTHONPATH": str(runs.ROOT), "JAX_PLATFORMS": "cpu"})

    def wait(self, seconds: float) -> None:
        """Let it run, and look at every run that is through."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.2)
            self.look()

    def look(self) -> None:
        """Judge the folders of finished runs and remove them."""
        done = self.place / "done.txt"
        lines = done.read_text(encoding="utf-8").splitlines() if done.exists() else []
        for line in lines[sum(self.codes.values()):]:
            number, code, rss = map(int, line.split())
            self.codes[code] += 1
            self.lives[-1].append(rss)
            self._judge(self.place / str(number))

    def kill(self, whom: str) -> None:
        """kill -9 of the worker or the parent, which is then started again."""
        if whom == "worker":
            self.kills[whom] += runs.kill_a_worker(self.parent)
            return
        self.look()
        folder = self.place / str(sum(self.codes.values()))
        self._before = runs.whole_parts(folder)
        self.parent.kill()
        self.parent.wait()
        self.kills[whom] += 1
        self._count_orphans()
        self.look()  # it may have been through
        self.start()

    def end(self) -> None:
        """Stop it as a user would, and look once more."""
        self.parent.send_signal(signal.SIGTERM)
        self.parent.wait(timeout=60)
        self._count_orphans()
        self.look()

    def _judge(self, folder: Path) -> None:
        after = runs.whole_parts(folder)
        self.lost += sum(after.get(name) != part for name, part in self._before.items())
        self._before = {}
        self.leftovers += len(list(files.leftovers(folder)))
        self.damaged += len(store.parts_of(folder)) - len(after)
        shutil.rmtree(folder)

    def _count_orphans(self) -> None:
        deadline = time.monotonic() + ORPHAN_S
        while (alive := self._workers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.orphans += alive

    def _workers(self) -> int:
        folders = [path for path in self.place.iterdir() if path.is_dir()]
        return sum(runs.works_on(each, folder) for each in psutil.process_iter() for folder in folders)


def main() -> int:
    """Soak and print the figures; exit code 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between kills")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, over = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as place:
        soak = Soak(Path(place), given.suite)
        while (left := over - time.monotonic()) > given.every:
            moment = chance.uniform(0, given.every)
            soak.wait(moment)
            early = left > 60 * given.minutes * (1 - PARENTS_TIME)
            soak.kill("parent" if early and chance.random() < 0.5 else "worker")
            soak.wait(given.every - moment)
        soak.wait(max(left, 0.0))
        soak.end()
        return show(soak, given.minutes)


def show(soak: Soak, minutes: float) -> int:
    """The figures as text; 1 where one is wrong, or nothing was run."""
    lives = [life for life in soak.lives if len(life) >= JUDGED]
    growth = max((statistics.median(life[-2:]) / life[1] for life in lives), default=math.inf)
    largest = max((max(life) for life in soak.lives if life), default=0)
    codes = ", ".join(f"{count} with exit code {code}" for code, count in sorted(soak.codes.items()))
    print(f"{soak.suite} in a loop for {minutes:g} minutes: runs {codes or 'none'}; kill -9 of the worker "
          f"{soak.kills['worker']} times, of the parent {soak.kills['parent']} times")
    flat = (f"× {growth:.3f} from the second run of a life to the median of its last two, the worst of {len(lives)} "
            f"lives of {JUDGED} runs or more") if lives else f"no life of {JUDGED} runs: whether it grows was not seen"
    print(f"memory of the parent: {largest / 1e6:.0f} MB at most; {flat}")
    print(f"orphans {soak.orphans}, leftover files {soak.leftovers}, damaged parts {soak.damaged}, "
          f"finished cells lost {soak.lost}")
    wrong = [growth > GROWTH_LIMIT, soak.orphans, soak.leftovers, soak.damaged, soak.lost, not soak.codes]
    return int(any(wrong))


if __name__ == "__main__":
    sys.exit(main())
