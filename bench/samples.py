"""How many samples the clock takes of a program and how long each is, so that their time can be told beforehand."""

from __future__ import annotations

WARMUPS = 2  # kept and unused: the first runs of a program are slower
FEW = 3  # repeats of what needs no interval: scoring, transfer
LONGER = 1.2  # a sample is so many times as long as it is to be at least


def sampling_s(min_sample_s: float, repeats: int) -> float:
    """Seconds of all samples of one program.

    >>> round(sampling_s(0.1, 10), 6)
    1.44
    """
    return LONGER * min_sample_s * (WARMUPS + repeats)
