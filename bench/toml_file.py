"""Reading a TOML file that may be anything: bounded in time and memory, every refusal a clear text."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path

from bench.bad_input import SuiteError, field_error, show

SIZE_LIMIT = 64 * 1024  # bytes; the largest shipped suite has about 1,000
DOTS_LIMIT = 100  # per line: the parser needs time and memory that grow with the square of a dotted key's length


def read_toml(path: Path) -> dict[str, object]:
    """The tables of a TOML file in UTF-8, with or without a byte order mark.

    Raises:
        SuiteError: missing, a directory or device, unreadable, empty, larger than 64 KiB, not UTF-8, not TOML (with
            the line), a key given twice, nested too deeply.
    """
    where = show(str(path), quotes=False)
    text = _decode(where, _bytes(where, path))
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > DOTS_LIMIT:
            raise SuiteError([field_error(f"{where} line {number}", f"has more than {DOTS_LIMIT} points", line,
                                          "Write long lists over several lines.")])
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SuiteError([_syntax(where, text, str(error))]) from None
    except RecursionError:
        raise SuiteError([f"{where}: is nested too deeply (got more levels than Python can follow). "
                          "A suite has two levels."]) from None
    except ValueError as error:  # integers of thousands of digits
        raise SuiteError([f"{where}: holds a value that cannot be read (got {show(str(error))}). "
                          "Shorten it."]) from None
    if not tables:
        raise SuiteError([f"{where}: is empty (got no keys). Copy a shipped suite and change it."])
    return tables


def _bytes(where: str, path: Path) -> bytes:
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise SuiteError([f"{where}: is a directory (got a directory). Give the TOML file in it."])
        if not stat.S_ISREG(found.st_mode):
            raise SuiteError([f"{where}: is not a regular file (got a device or pipe). Give a TOML file."])
        with open(path, "rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise SuiteError([f"{where}: no such file (got {where}). Check the path, or use a shipped suite: "
                          "python -m bench list."]) from None
    except SuiteError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise SuiteError([f"{where}: cannot be read (got {show(str(error))}). "
                          "Check the path and its rights."]) from None
    if len(content) > SIZE_LIMIT:
        raise SuiteError([f"{where}: is too large for a suite (got {found.st_size} bytes, at most {SIZE_LIMIT}). "
                          "Split it."])
    return content


def _decode(where: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise SuiteError([f"{where}: is not UTF-8 (got byte 0x{content[error.start]:02x} at position {error.start}). "
                          "Save it as UTF-8."]) from None


def _syntax(where: str, text: str, message: str) -> str:
    at = re.search(r"\(at line (\d+), column \d+\)", message)
    what = re.sub(r" \(at .*\)$", "", message)
    what = show(what, quotes=False)
    lines = text.split("\n")
    number = min(int(at.group(1)), len(lines)) if at else len(lines)
    twice = what.startswith(("Cannot overwrite", "Cannot declare")) or "twice" in what
    said = f"a key or table is given twice ({what})" if twice else f"is not TOML: {what}"
    todo = "Keep one of them." if twice else "Mend this line."
    return field_error(f"{where} line {number}", said, lines[number - 1].strip(), todo)
