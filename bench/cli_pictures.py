"""The commands that draw what descent does to one problem: basins, growth and stream."""

from __future__ import annotations

import sys
from pathlib import Path

import click

DEVICES = ("auto", "cpu", "gpu")


@click.command()
@click.argument("problem")
@click.option("--starts", type=int, default=512 * 512, show_default=True, help="At least so many, on a square grid.")
@click.option("--rate", type=float, help="Learning rate [default: by a range test].")
@click.option("--optimizer", default="sgd", show_default=True, help="A name (see list).")
@click.option("--steps", type=int, default=2000, show_default=True, help="At most so many a start.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG file [default: results/basins-PROBLEM.png].")
def basins(problem: str, starts: int, rate: float | None, optimizer: str, steps: int, out: Path | None) -> None:
    """Draw where descent ends from every start of PROBLEM, which has two parameters: basins, paths, minima, shares.

    PROBLEM is a name or my_module:make_problem.
    """
    from bench import basins as work  # only here: the other commands need none of it
    from bench import picture_session

    sys.exit(picture_session.run(lambda: work.check(problem, optimizer, starts, rate, steps, out), work.run))


@click.command()
@click.argument("problem", default="himmelblau")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the lanes run.")
@click.option("--most", type=int, default=1_000_000, show_default=True, help="Lanes: 1,000, 10,000, … up to so many.")
@click.option("--rate", type=float, default=0.003, show_default=True, help="Learning rate of BGD.")
@click.option("--tolerance", type=float, default=1e-3, show_default=True, help="Gradient norm at which a lane ends.")
@click.option("--steps", type=int, default=5_000, show_default=True, help="Most steps of a lane.")
@click.option("--repeats", type=int, default=5, show_default=True, help="Samples of each number of lanes.")
@click.option("--out", type=Path, metavar="FILE.png",
              help="Picture; .svg and .csv go beside it [default: results/growth-PROBLEM.png].")
def growth(problem: str, device: str, most: int, rate: float, tolerance: float, steps: int, repeats: int,
           out: Path | None) -> None:
    """Measure how time and memory of PROBLEM grow with the number of lanes [default: himmelblau].

    PROBLEM is a name or my_module:make_problem.
    """
    from bench import growth as work  # only here: the other commands need none of it
    from bench import picture_session

    sys.exit(picture_session.run(lambda: work.check(problem, device, most, rate, tolerance, steps, repeats, out),
                                 work.run))


@click.command()
@click.argument("problem", default="digits-softmax")
@click.option("--batch-size", type=int, default=16, show_default=True, help="Examples of a step.")
@click.option("--seeds", type=int, default=24, show_default=True, help="Each has starts and an order of blocks.")
@click.option("--gigabytes", type=float, default=1.0, show_default=True, help="Of a file to descend on; 0: none.")
@click.option("--folder", type=Path, metavar="DIR", help="Where that file lies meanwhile [default: the system's].")
@click.option("--out", type=Path, metavar="FILE.png",
              help="Picture; .svg and .csv go beside it [default: results/stream-PROBLEM.png].")
def stream(problem: str, batch_size: int, seeds: int, gigabytes: float, folder: Path | None, out: Path | None) -> None:
    """Measure what streaming costs PROBLEM in epochs, and a large file in memory and seconds [default: digits-softmax].

    Examples are read in shuffled blocks into a buffer (gdjax.Stream), from files in random order and sorted by their
    outcomes, against a full shuffle. PROBLEM is a name or my_module:make_problem.
    """
    from bench import picture_session
    from bench import stream as work  # only here: the other commands need none of it

    sys.exit(picture_session.run(lambda: work.check(problem, batch_size, seeds, gigabytes, folder, out), work.run))
