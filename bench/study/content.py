"""What the report of a study says: a row and a section for each claim, as plain text that each template escapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.analysis.answer import cells_of
from bench.analysis.words import seconds_number
from bench.report.content import Row, command, facts
from bench.study.claim import VERDICTS, Finding, Outcome, Picture
from bench.study.tables import outcomes_of
from bench.study.verdicts import LOOKS, Judged, Look
from bench.study.words import expected_words, figure_words, ratio_words
from bench.tables import Tables

_HEADER = ["quantity", "measured [95 % interval]", "theory", "measured / theory"]
_ENDINGS = {"pending": "not run yet", "finished": "not run yet"}  # finished without a part: it is gone


@dataclass(frozen=True)
class Entry:
    """One claim as the reports show it; `verdict` is "failed" or "not run yet" where nothing came of it."""

    number: int
    name: str
    statement: str
    verdict: str
    method: str = ""
    sentence: str = ""
    note: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    findings: Sequence[Finding] = ()
    pictures: Sequence[Picture] = field(default=(), repr=False)

    @property
    def look(self) -> Look:
        """Symbol, class and colour of the verdict."""
        return LOOKS[self.verdict]

    @property
    def measured(self) -> str:
        """What the figure of the first table is of."""
        return self.findings[0].quantity if self.findings else self.note

    @property
    def figure(self) -> str:
        """The first finding, which is the one that the verdict rests on."""
        return figure_words(self.findings[0]) if self.findings else ""

    @property
    def theory(self) -> str:
        """What theory says of that figure."""
        return expected_words(self.findings[0]) if self.findings else ""

    @property
    def header(self) -> Row:
        """Of the table of findings; what theory says has no columns where it says nothing."""
        return _HEADER if any(expected_words(each) for each in self.findings) else _HEADER[:2]

    @property
    def rows(self) -> list[Row]:
        """All findings: quantity, figure with interval, expected, ratio."""
        rows = [[each.quantity, figure_words(each), expected_words(each) or "–", ratio_words(each) or "–"]
                for each in self.findings]
        return [row[:len(self.header)] for row in rows]


def entries_of(tables: Tables) -> list[Entry]:
    """Every claim of a run by number: those of the manifest, and of the tables where a manifest lost some."""
    outcomes = outcomes_of(tables)
    found = {str(row["claim"]): _measured(row, outcomes[str(row["claim"])]) for _, row in tables.claims.iterrows()}
    for cell in cells_of(tables.run):
        name = str(cell.get("claim") or "")
        if name and name not in found:
            status = str(cell.get("status") or "pending")
            found[name] = Entry(_whole(cell.get("number")), name, str(cell.get("statement") or name),
                                _ENDINGS.get(status, "failed"), note=str(cell.get("note") or ""))
    return sorted(found.values(), key=lambda entry: entry.number)


def content(run: Mapping[str, object], entries: Sequence[Entry]) -> dict[str, object]:
    """Everything that the templates say in words, but for the pictures."""
    measured = [entry for entry in entries if entry.verdict in VERDICTS]
    return {"suite": str(run.get("suite") or ""), "device": str(run.get("device") or ""),
            "progress": progress(len(measured), len(entries)), "entries": entries, "overview": _overview(entries),
            "counts": _counts(entries),
            "timing": _timing(measured), "facts": facts(run), "command": command(run), "warnings": _warnings(run)}


def progress(measured: int, claims: int) -> str:
    """How much of a study there is.

    Example:
        >>> progress(9, 14)
        'partial: 9 of 14 claims'
    """
    return f"{'complete' if measured == claims and claims else 'partial'}: {measured} of {claims} claims"


def judged(entries: Sequence[Entry]) -> list[Judged]:
    """The lines of the terminal's table."""
    return [Judged(entry.number, entry.name, entry.verdict,
                   f"{entry.measured}: {entry.figure}" if entry.figure else entry.note) for entry in entries]


def _measured(row: pd.Series, outcome: Outcome) -> Entry:
    return Entry(_whole(row["number"]), str(row["claim"]), str(row["statement"]), outcome.verdict, str(row["method"]),
                 outcome.sentence, "", float(str(row["seconds"])), float(str(row["cpu_seconds"])), outcome.findings,
                 outcome.pictures)


def _overview(entries: Sequence[Entry]) -> list[Row]:
    return [[f"{entry.number}. {entry.statement}", entry.measured, entry.figure, entry.theory,
             f"{entry.look.symbol} {entry.verdict}"] for entry in entries]


def _counts(entries: Sequence[Entry]) -> list[tuple[str, int, Look]]:
    counts = Counter(entry.verdict for entry in entries)
    return [(verdict, counts[verdict], look) for verdict, look in LOOKS.items() if counts[verdict]]


def _timing(entries: Sequence[Entry]) -> list[Row]:
    rows: list[Row] = [[str(entry.number), entry.name, seconds_number(entry.seconds), seconds_number(entry.cpu_seconds)]
                       for entry in entries]
    total = [seconds_number(sum(values)) for values in ([entry.seconds for entry in entries],
                                                        [entry.cpu_seconds for entry in entries])]
    return [*rows, ["", "all", *total]] if rows else []


def _warnings(run: Mapping[str, object]) -> list[str]:
    listed = run.get("warnings")
    return [str(each) for each in listed] if isinstance(listed, list) else []


def _whole(value: object) -> int:
    return int(str(value)) if str(value).isdigit() else 0
