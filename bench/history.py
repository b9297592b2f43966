"""Runs over time: the headline figure of each run below a folder, from its run.json and summary.csv alone.

The headline of a problem is the seconds of one training (solo) that the soonest cell needs to its headline target
(`bench.analysis.answer`), 0 where half of its starts meet it at once, ∞ where none reached any target in half of its
starts. The headline of a run is the geometric mean over its problems. Two headlines are of one series only if suite
(or shard of it), device, machine, configuration and every problem's headline target are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench import store
from bench.analysis.answer import cell_counts, headline_target
from bench.analysis.goals import Goal
from bench.analysis.intervals import NOTHING, Estimate
from bench.analysis.ranking import rank, reached
from bench.analysis.words import batch_words, schedule_label, seconds_number
from bench.command import command
from bench.machines import machine_words
from bench.rows import Rows
from bench.shards import suite_words

DEEPEST = 3  # folders below the one that is given
NEEDED = ("problem", "batch_size", "schedule", "target", "success_rate", "ert_steps", "final_loss_median",
          "seconds_solo_median", "seconds_solo_low", "seconds_solo_high")


class Winner(NamedTuple):
    """The soonest cell of a problem on its headline target: seconds of one training, ∞ where no cell reached it."""

    problem: str
    goal: str
    seconds: Estimate
    words: str


class Key(NamedTuple):
    """What two headlines must share to be told apart by time alone."""

    suite: str
    device: str
    machine: str
    config: str
    goals: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Entry:
    """One run: where and when, of which code, on what, and its headlines by problem."""

    folder: str
    started: datetime
    commit: str
    suite: str
    device: str
    machine: str
    config: str
    whole: bool
    cells: tuple[int, int]
    winners: tuple[Winner, ...] = ()
    note: str = ""

    @property
    def headline(self) -> float:
        """Geometric mean over the problems in seconds: NaN where one was not timed, else ∞ where one has none, else 0
        where one is at its target from the start.

        Example:
            >>> times = [Winner(name, "", Estimate(seconds, seconds, seconds), "") for name, seconds in
            ...          (("a", 0.1), ("b", 0.4))]
            >>> entry = Entry("r", datetime.now(), "", "quick", "cpu", "", "", True, (2, 2), tuple(times))
            >>> round(entry.headline, 6)
            0.2
        """
        values = [winner.seconds.value for winner in self.winners]
        if not values or any(math.isnan(value) for value in values):
            return math.nan
        if math.inf in values or 0 in values:
            return math.inf if math.inf in values else 0.0
        return math.exp(math.fsum(map(math.log, values)) / len(values))

    @property
    def key(self) -> Key:
        """The series that it is of."""
        return Key(self.suite, self.device, self.machine, self.config,
                   tuple((winner.problem, winner.goal) for winner in self.winners))


@dataclass(frozen=True)
class History:
    """Runs below a folder, oldest first, and the folders that were passed over, each with the reason."""

    entries: tuple[Entry, ...]
    skipped: tuple[str, ...]

    def series(self) -> dict[str, list[Entry]]:
        """What can be drawn, by the name of its line: runs that came to their end and have a headline."""
        found: dict[Key, list[Entry]] = {}
        drawn = [entry for entry in self.entries if entry.whole and not math.isnan(entry.headline)]
        for entry in sorted(drawn, key=lambda entry: math.isinf(entry.headline)):  # a miss joins the line it fell from
            found.setdefault(_like(entry, list(found)), []).append(entry)
        for runs in found.values():
            runs.sort(key=lambda entry: entry.started)
        return dict(zip(_labels(list(found)), found.values(), strict=True))


def read(root: Path) -> History:
    """The runs in a folder and up to three levels below it.

    Raises:
        FolderError: the folder is missing, can't be read, or holds no run.
    """
    if not root.is_dir():
        raise store.FolderError(f"{root}: is no folder (got {'a file' if root.exists() else 'nothing there'}). "
                                "Give the folder that holds the runs, results/ for example.")
    entries, skipped = [], []
    try:
        for place, is_run in _places(root, DEEPEST):
            name = "." if place == root else place.relative_to(root).as_posix()
            if not is_run:
                skipped.append(f"{name}: holds no run")
                continue
            try:
                entries.append(entry_of(place, name))
            except (store.FolderError, ValueError) as error:
                skipped.append(f"{name}: {_without_remedy(str(error).removeprefix(f'{place}/'))}")
    except OSError as error:
        raise store.FolderError(f"{root}: cannot be read (got {error.strerror or error}). Mend its rights.") from None
    if not entries:
        raise store.FolderError("\n".join([f"{root}: holds no run that can be read (got {_count(skipped)}). "
                                           "Make one: python -m bench run quick.", *skipped]))
    return History(tuple(sorted(entries, key=lambda entry: (entry.started, entry.folder))), tuple(skipped))


def entry_of(folder: Path, name: str) -> Entry:
    """A run folder as a line of the history; raises FolderError or ValueError where its files can't be read."""
    run = store.read_run(folder)
    environment = run["environment"]
    commit = environment.get("git_commit")
    dirty = "+" if environment.get("git_dirty") else ""
    started = _moment(run["started"])
    winners: tuple[Winner, ...] = ()
    note = ""
    if "claims" in run["config"]:
        note = "is a study of claims"
    elif not (folder / "summary.csv").exists():
        note = f"has no summary.csv; {command('report', folder)} makes it again"
    else:
        winners = winners_of(_summary(folder / "summary.csv"))
        note = "" if winners else "has no rows in summary.csv"
    return Entry(name, started, f"{str(commit)[:7]}{dirty}" if commit else "–",
                 suite_words(run["suite"], run.get("shard")), run["device"], machine_words(environment, run["device"]),
                 run["config_hash"][:7], run["finished"] is not None, cell_counts(run), winners, note)


def winners_of(summary: pd.DataFrame) -> tuple[Winner, ...]:
    """The headline of every problem of a summary, by name.

    Example:
        >>> row = {"problem": "p", "batch_size": 8, "schedule": "linear", "target": 0.5, "success_rate": 1.0,
        ...        "ert_steps": 9.0, "final_loss_median": 0.1, "seconds_solo_median": 0.25, "seconds_solo_low": 0.2,
        ...        "seconds_solo_high": 0.3}
        >>> winners_of(pd.DataFrame([row]))[0][:3]
        ('p', 'at most 0.5', Estimate(value=0.25, low=0.2, high=0.3))
    """
    found = []
    for problem, rows in summary.groupby("problem", sort=True):
        target = headline_target(rows)
        goal = rows[rows["target"] == target]
        timed = rank(reached(goal)).query("seconds_solo_median.notna()")
        if timed.empty:
            never = reached(goal).empty
            seconds = Estimate(math.inf, math.inf, math.inf) if never else NOTHING
            words = "reached by none" if never else "not timed"
        else:
            first = timed.iloc[0]
            seconds = Estimate(*(float(first[f"seconds_solo_{part}"]) for part in ("median", "low", "high")))
            examples = int(first["problem_examples"]) if "problem_examples" in first else 0
            words = f"{batch_words(int(first['batch_size']), examples)}, {schedule_label(str(first['schedule']))}"
        found.append(Winner(str(problem), Goal.of(goal.iloc[0]).words, seconds, words))
    return tuple(found)


def table(history: History) -> Rows:
    """The runs, oldest first, for a terminal."""
    several = len({entry.machine for entry in history.entries}) > 1
    headings = ["date (UTC)", "commit", "suite", "device", *["machine"] * several, "cells", "headline", "folder"]
    rows = [[f"{entry.started:%Y-%m-%d %H:%M}", entry.commit, entry.suite, entry.device, *[entry.machine] * several,
             "{}/{}".format(*entry.cells), seconds_number(entry.headline), entry.folder] for entry in history.entries]
    return Rows(headings, rows, right=("cells", "headline"),
                caption=None if several else f"all on {history.entries[0].machine}")


def lines(history: History) -> Iterator[str]:
    """What the table leaves out: what the headline is, runs without a point in the picture, what was passed over."""
    yield ("headline: seconds of one training to the smallest target that half of the starts reach, with the soonest "
           "batch size and schedule; geometric mean over the problems")
    for entry in history.entries:
        if entry.note:
            yield f"no headline: {entry.folder} {entry.note}"
        elif entry.winners and math.isnan(entry.headline):
            yield f"no headline: {entry.folder} has problems whose steps were not timed"
        elif entry.headline == 0:
            yield f"headline of 0: {entry.folder} has a problem whose target half of the starts meet at step 0"
        elif entry.winners and not entry.whole:
            yield f"not drawn: {entry.folder} has {entry.cells[0]} of {entry.cells[1]} cells and is not at its end"
    for text in history.skipped:
        yield f"passed over: {text}"


def _places(folder: Path, deep: int) -> Iterator[tuple[Path, bool]]:
    """Run folders below a folder, and the folders nearest to it that hold none; nothing of a run is looked into."""
    if (folder / store.MANIFEST).exists():
        yield folder, True
        return
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")) if deep else []
    found = [list(_places(path, deep - 1)) for path in below]
    if not any(is_run for places in found for _, is_run in places):
        yield folder, False
    else:
        yield from (place for places in found for place in places)


def _summary(path: Path) -> pd.DataFrame:
    try:
        found = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' errors of parsing are ValueErrors
        raise ValueError(f"summary.csv: cannot be read (got {str(error)[:100]})") from None
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise ValueError(f"summary.csv: lacks columns (got no {', '.join(missing)})")
    for name in NEEDED[3:] if len(found) else ():
        values = pd.to_numeric(found[name], errors="coerce")
        wrong = values.isna() & (found[name].notna() | (name in ("target", "success_rate")))
        wrong |= (values < 0) & name.startswith("seconds")  # 0: a target met at the start
        if wrong.any():
            raise ValueError(f"summary.csv: {name}: must be numbers{', 0 or more' * name.startswith('seconds')} "
                             f"(got {str(found[name][wrong].iloc[0])[:40]!r})")
    return found


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{store.MANIFEST}: started: must be a time (got {text[:40]!r})") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _like(entry: Entry, keys: list[Key]) -> Key:
    """The last series that a run is of: where no cell reached a target of a problem, any target of it will do."""
    missed = {winner.problem for winner in entry.winners if winner.seconds.value == math.inf}
    for key in reversed(keys):
        goals = [goal for goal in key.goals if goal[0] not in missed]
        if (key[:4] == entry.key[:4] and goals == [goal for goal in entry.key.goals if goal[0] not in missed]
                and missed <= {problem for problem, _ in key.goals}):
            return key
    return entry.key


def _labels(keys: list[Key]) -> list[str]:
    """A name for each series: suite, device and machine, then what else is needed to tell it from the others."""
    found = []
    for key in keys:
        alike = [other for other in keys if other[:3] == key[:3]]
        label = f"{key.suite} on {key.device}: {key.machine}" if key.machine else f"{key.suite} on {key.device}"
        if len({other.config for other in alike}) > 1:
            label += f"; config {key.config}"
        same = [other for other in alike if other.config == key.config]
        if len(same) > 1:
            shared = set.intersection(*(set(other.goals) for other in same))
            own = [f"{problem} {goal}" for problem, goal in key.goals if (problem, goal) not in shared]
            label += f"; {', '.join(own[:2])}{', …' if own[2:] else ''}" if own else f"; {len(key.goals)} problems"
        found.append(label)
    return found


def _without_remedy(text: str) -> str:
    """What is wrong without what a run would do about it: up to the end of "(got ...)"."""
    what, bracket, _ = text.rpartition("). ")
    return f"{what})" if bracket else text


def _count(skipped: Sequence[str]) -> str:
    return f"{len(skipped)} folder{'s' * (len(skipped) != 1)} without one"
