"""One shard of a sweep as a task of a cluster: `python -m bench` with other arguments, in a process of its own.

Importable without the harness's libraries, so that a task that can't run says so itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

LAST = 2_000  # characters of the output that are brought back
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@dataclass(frozen=True)
class Ended:
    """How a task ended: exit code, the last of its output, and the host it ran on."""

    code: int
    said: str
    host: str


@dataclass(frozen=True)
class ShardTask:
    """What a cluster calls: `bench run` of one shard with --resume, so that whoever runs it again goes on.

    Args:
        arguments: of `python -m bench`.
        place: directory to run in, on every host; where a user's modules are found.
        module: what runs them.
    """

    arguments: tuple[str, ...]
    place: str
    module: str = "bench.task"

    def __call__(self) -> Ended:
        """Run it to its end; a process that dies takes its shard with it."""
        command = [sys.executable, "-m", self.module, *self.arguments]
        done = subprocess.run(command, cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              stdin=subprocess.DEVNULL, env=environment(os.environ))
        return Ended(done.returncode, done.stdout.decode(errors="replace")[-LAST:], os.uname().nodename)

    def checkpoint(self) -> object:
        """What submitit submits again when SLURM takes the task's machine away: the same task."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def environment(found: Mapping[str, str]) -> dict[str, str]:
    """The variables of a worker without those that Dask gives its own for the sake of many small tasks.

    One thread for BLAS and memory given back at once: a shard would be timed as on another machine.
    """
    if "distributed" not in sys.modules:  # no worker of Dask
        return dict(found)
    import dask

    given = {key: str(value) for key, value in dask.config.get("distributed.nanny.pre-spawn-environ").items()}
    return {key: value for key, value in found.items() if given.get(key) != value}


def main() -> None:
    """The command line as in `python -m bench`, killed with the process that started it.

    At once, since the cluster starts the task again elsewhere: one that took its time would still hold the folder.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    from bench.cli import cli

    cli(prog_name="python -m bench")


if __name__ == "__main__":
    main()
