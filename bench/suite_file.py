"""Targets put into a user's suite file: a few lines come in, everything else stays as it is, byte for byte."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import files
from bench.bad_input import SuiteError, closest, field_error, key_text, show
from bench.suite import SUITES, Suite, load_suite, shipped_suites
from bench.targets import BEGINS, header

TRIAL = ["targets = [1.0]"]


def check(name: str, problem: str, force: bool, target_on: str | None = None) -> Suite:
    """The suite of a file that can take targets of one of its problems; `force`: also in the place of others.

    Args:
        target_on: what they must be on there, if that is known.

    Raises:
        SuiteError: it is no suite, is shipped, has no such problem, has targets for it, has no place for them, or means
            others by them.
        OSError: the file or its folder can't be written.
    """
    suite, path = load_suite(name), shipped_suites().get(name, Path(name))
    if path.resolve().is_relative_to(SUITES.resolve()):
        raise SuiteError([field_error("--suite", "is a shipped suite, which stays as it is", name,
                                      f"Give a copy of it: cp {path} my-suite.toml.")])
    if problem not in suite.problems:
        raise SuiteError([field_error("PROBLEM", f"is not one of the problems of {show(name, quotes=False)}", problem,
                                      f"Add it to problems there first. {closest(problem, suite.problems)}")])
    known, on = suite.settings_for(problem).targets, suite.settings_for(problem).target_on
    if target_on not in (None, on):
        raise SuiteError([field_error("--on", f"targets of {show(problem, quotes=False)} are on {on} in "
                                      f"{show(name, quotes=False)}", target_on,
                                      f'Write target_on = "{target_on}" there, or leave this out.')])
    if known is not None and not force:
        raise SuiteError([field_error(f"problem.{key_text(problem)}.targets", f"are in {show(name, quotes=False)} "
                                      "already", known, "Add --force to replace them.")])
    edited(_text(path), problem, TRIAL)
    with open(path, "r+b"):
        files.probe(path.resolve().parent)
    return suite


def put(name: str, problem: str, lines: Sequence[str], force: bool) -> None:
    """Put lines with targets into the file of a suite, which is checked again: it may have changed meanwhile.

    Raises:
        SuiteError, OSError: as `check`; the file is as it was.
    """
    check(name, problem, force)
    path = Path(name).resolve()  # a link stays one
    text = edited(_text(path), problem, lines)

    def write(aside: Path) -> None:
        aside.write_bytes(text.encode())
        shutil.copymode(path, aside)
        load_suite(aside)

    files.write_whole(path, write)


def edited(text: str, problem: str, lines: Sequence[str]) -> str:
    """A suite's text with these lines in the table of a problem, and without the targets that it had.

    Raises:
        SuiteError: the text would then not say the same but for the targets, as where tables are written inline.

    Example:
        >>> print(edited('epochs = 3\\n[problem.a]  # mine\\nmin_steps = 9', "a", ["targets = [0.2, 0.1]"]))
        epochs = 3
        [problem.a]  # mine
        targets = [0.2, 0.1]
        min_steps = 9
        <BLANKLINE>
    """
    mark, turn = "\ufeff" * text.startswith("\ufeff"), "\r" * ("\r\n" in text)
    before = text.removeprefix(mark)
    kept = before.split("\n")
    for each in reversed([each for each in _statements(kept) if each.path in _places(problem)]):
        del kept[_with_comment(kept, each.first):each.end]
    if kept[-1]:
        kept[-1:] = [kept[-1] + turn, ""]
    tables = [each.end for each in _statements(kept) if each.table and each.path == ("problem", problem)]
    new = lines if tables else ["", header(problem), *lines]
    at = tables[0] if tables else len(kept) - 1
    kept[at:at] = [line + turn for line in new]
    after = "\n".join(kept)
    if not _says(after, before, problem, lines):
        raise SuiteError([field_error("--suite", "has no place where targets can be put safely", problem,
                                      f"Write its table as {header(problem)}, or leave --suite out and copy the lines "
                                      "that are then printed.")])
    return mark + after


class _Statement(NamedTuple):
    """A table's header or a key with its value: lines first … end − 1; `path` leads to what it names in the suite."""

    first: int
    end: int
    path: tuple[str, ...]
    table: bool


def _statements(lines: Sequence[str]) -> Iterator[_Statement]:
    """All statements of a TOML text in its lines: the fewest lines that are TOML for themselves."""
    place, table = 0, tuple[str, ...]()
    while place < len(lines):
        end = next(end for end in range(place + 1, len(lines) + 1) if _parsed("\n".join(lines[place:end])) is not None)
        path = _path(_parsed("\n".join(lines[place:end])))
        if path and lines[place].lstrip().startswith("["):
            table = path
            yield _Statement(place, end, path, table=True)
        elif path:
            yield _Statement(place, end, (*table, *path), table=False)
        place = end


def _path(value: object) -> tuple[str, ...]:
    """The keys of tables that hold only each other, from the outermost."""
    if not isinstance(value, dict) or len(value) != 1:
        return ()
    (key, inner), = value.items()
    return (key, *_path(inner))


def _with_comment(lines: Sequence[str], first: int) -> int:
    """Where a statement begins with the comment of an earlier pilot just above it, if there is one."""
    place = first
    while place and lines[place - 1].startswith("#"):
        place -= 1
        if lines[place].startswith(BEGINS):
            return place
    return first


def _places(problem: str) -> tuple[tuple[str, ...], ...]:
    return ("problem", problem, "targets"), ("targets", problem)


def _says(after: str, before: str, problem: str, lines: Sequence[str]) -> bool:
    """Whether a text says what the one before said, but for the targets in the lines."""
    found, wanted = _parsed(after), tomllib.loads(before)
    wanted.get("targets", {}).pop(problem, None)
    wanted.setdefault("problem", {}).setdefault(problem, {}).update(tomllib.loads("\n".join(lines)))
    for tables in (found, wanted):
        if tables and not tables.get("targets", True):  # none of another problem are left
            del tables["targets"]
    return found == wanted


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text + "\n")
    except tomllib.TOMLDecodeError:
        return None


def _text(path: Path) -> str:
    return path.read_bytes().decode()
