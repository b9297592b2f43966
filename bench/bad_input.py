"""Error texts: `<field path>: <what is wrong> (got <value>). <what to do>`, many at once, however odd the value."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_MISLEADS = re.compile(r'[\s:"]')
SHOWN = 50  # errors of one kind that are listed

EXAMPLES = {
    "name": 'name = "mine"',
    "problems": 'problems = ["digits-softmax"]',
    "batch_sizes": 'batch_sizes = [1, 32, "all"]',
    "schedules": 'schedules = ["constant", "inverse_time"]',
}

TYPES = {  # pydantic's error type -> what is wrong, what to do
    "int_type": ("must be a whole number", "Write it without quotes, point or true/false."),
    "float_type": ("must be a number", "Write it without quotes or true/false."),
    "finite_number": ("must be finite", "inf and nan have no meaning here."),
    "string_type": ("must be text", 'Put it in quotes: "...".'),
    "list_type": ("must be a list", "Put it in brackets: [...]."),
    "dict_type": ("must be a table", "Write it as [problem.\"NAME\"] or { key = value }."),
    "model_type": ("must be a table", "Write it as [problem.\"NAME\"] with its keys below."),
}

BOUNDS = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
}


class SuiteError(ValueError):
    """Everything that is wrong with a suite: one text per error in `errors`."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        super().__init__("\n".join(f"error: {error}" for error in self.errors))


class _Short(reprlib.Repr):
    """A repr of bounded length, also for integers that Python refuses to write out."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlevel = 3

    def repr_int(self, value: int, level: int) -> str:
        """Digits up to 128 bits, the size beyond."""
        return repr(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"


def show(value: object, quotes: bool = True) -> str:
    """A value as text of at most about 100 characters; without quotes, control characters stay escaped.

    >>> len(show("x" * 1000))
    60
    """
    if isinstance(value, bool):
        return str(value).lower()
    text = _Short().repr(value)
    text = text if len(text) <= 200 else text[:197] + "..."
    return text if quotes or not isinstance(value, str) else text[1:-1]


def field_error(path: str, what: str, got: object, todo: str) -> str:
    """One error text.

    >>> field_error("seed", "must be at least 0", -1, "Use 0.")
    'seed: must be at least 0 (got -1). Use 0.'
    """
    return f"{path}: {what} (got {show(got)}). {todo}"


def key_text(key: str) -> str:
    """A key of a suite file in a field path: in quotes, as TOML wants it, where its own characters would mislead.

    >>> key_text("digits-mlp"), key_text("my_module:make_problem")
    ('digits-mlp', '"my_module:make_problem"')
    """
    text = show(key, quotes=False)
    return text if text and not _MISLEADS.search(text) else '"' + text.replace('"', r'\"') + '"'


def needed(key: str) -> str:
    """The error text of a key that is not there.

    >>> needed("name")
    'name: is needed (got nothing). Add for example name = "mine".'
    """
    return f"{key}: is needed (got nothing). Add for example {EXAMPLES.get(key, key)}."


def closest(name: str, known: Iterable[str]) -> str:
    """What to do about an unknown name: the closest known one, and all of them.

    >>> closest("bathc_size", ["batch_sizes", "seed"])
    "Did you mean 'batch_sizes'? Known: batch_sizes, seed."
    """
    known = list(known)
    near = difflib.get_close_matches(name[:100], [each[:100] for each in known[:200]], n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(show(each, quotes=False) for each in known[:30])
    return f"{hint}Known: {listed}{', ...' if len(known) > 30 else ''}."


def from_pydantic(error: ValidationError, keys: list[str], override_keys: list[str]) -> list[str]:
    """Error texts of a failed validation of a suite; `keys` of the suite and of a [problem."NAME"] table."""
    found = error.errors(include_url=False)
    texts = [_text(each["type"], each["loc"], each["input"], dict(each.get("ctx", {})), keys, override_keys)
             for each in found[:SHOWN]]
    return texts + [f"suite: more than {SHOWN} errors (got {len(found)}). Mend these first."] * (len(found) > SHOWN)


def _text(kind: str, place: tuple[int | str, ...], got: object, context: dict[str, object],
          keys: list[str], override_keys: list[str]) -> str:
    path = _path(place)
    if kind == "extra_forbidden":
        known = keys if len(place) == 1 else override_keys
        return field_error(path, "unknown key", got, closest(str(place[-1]), known))
    if kind == "missing":
        return needed(path)
    if kind == "suite":
        return field_error(path, str(context["what"]), got, str(context["todo"]))
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        bound = context[name]
        return field_error(path, f"{words} {bound:g}" if isinstance(bound, float) else f"{words} {bound}", got,
                           "Change it to a value in range.")
    if kind == "literal_error":
        return field_error(path, f"must be one of {context['expected']}", got, "Choose one of them.")
    if kind in TYPES:
        what, todo = TYPES[kind]
        return field_error(path, what, got, todo)
    return field_error(path, f"is not valid: {kind.replace('_', ' ')}", got, "See a shipped suite for the form.")


def _path(place: tuple[int | str, ...]) -> str:
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("<") or not part.endswith(">"):  # the tags of a union are no part of the file
            path += ("." if path else "") + key_text(part)
    return path
