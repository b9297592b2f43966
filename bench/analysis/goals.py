"""A goal: a target with what it is on, in words."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis.words import number
from bench.target_on import ERROR, LOSS, NOUNS


class Goal(NamedTuple):
    """A target, its gap (NaN where it is not by a gap), and what it is on, as `gdjax.minibatch` names it."""

    target: float
    gap: float = math.nan
    on: str = LOSS

    @classmethod
    def of(cls, row: pd.Series | Mapping[Hashable, Any]) -> Goal:
        """That of a row of a summary; older ones have targets on the loss only."""
        return cls(float(row["target"]), float(row.get("gap", math.nan)), str(row.get("target_on", LOSS)))

    @property
    def noun(self) -> str:
        """What it is on."""
        return NOUNS[self.on]

    @property
    def axis(self) -> str:
        """The same on an axis."""
        return f"{self.noun} (share classified wrongly)" if self.on == ERROR else self.noun

    @property
    def words(self) -> str:
        """What must be reached; what it is on is said where it is not the loss.

        >>> Goal(0.3, 0.01).words, Goal(0.2).words, Goal(0.05, on="error").words
        ('within 1 % of the initial gap', 'at most 0.2', 'error at most 5 %')
        """
        return self.level if self.on == LOSS else self.phrase

    @property
    def phrase(self) -> str:
        """The same with what it is on in any case.

        >>> Goal(0.3, 0.01).phrase, Goal(0.2, on="held_out_loss").phrase
        ('loss within 1 % of the initial gap', 'held-out loss at most 0.2')
        """
        return f"{self.noun} {self.level}"

    @property
    def got(self) -> str:
        """What it is to get there, for a sentence.

        >>> f"gets {Goal(0.3, 0.01).got}", f"gets {Goal(0.05, on='error').got}"
        ('gets the loss within 1 % of the initial gap', 'gets the error to at most 5 %')
        """
        return f"the {self.noun} {self.level}" if not math.isnan(self.gap) else f"the {self.noun} to {self.level}"

    @property
    def level(self) -> str:
        """The same without what it is on, for a panel of a figure that says it.

        >>> Goal(0.05, on="error").level
        'at most 5 %'
        """
        if not math.isnan(self.gap):
            return f"within {100 * self.gap:g} % of the initial gap"
        return f"at most {number(100 * self.target, 4)} %" if self.on == ERROR else f"at most {number(self.target, 4)}"
