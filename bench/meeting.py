"""Where the hosts of a run meet: the options that say so, checked, or what the cluster says of itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.bad_input import SuiteError, field_error

if TYPE_CHECKING:
    from bench.suite import Suite

AUTO = "auto"
WAIT_S = 60.0  # for the other hosts, unless told
DETECT_S = 30.0  # more than that: JAX waits for a cluster's name service itself
ADDRESS = re.compile(r"(?:\[([^\[\]]+)\]|([^\s:\[\]]+)):([0-9]{1,5})")  # [::1]:1234, or name:1234


class Host(NamedTuple):
    """What a worker must know to become part of one program (see `bench.together.joined`)."""

    coordinator: str
    processes: int
    process: int
    wait_s: float
    gpus: list[int] | None  # numbers of those it may use; None: all


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Where the processes of a run meet, how many they are, and which one this is: 0 leads.

    Args:
        name, port: of process 0, as the others reach it.
        wait_s: seconds that each waits for the others.
        gpus: numbers of the GPUs that this process may use; None: all.
        options: of the command line, that asked for it.
    """

    name: str
    port: int
    processes: int
    process: int
    wait_s: float = WAIT_S
    gpus: tuple[int, ...] | None = None
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.at(self.port)

    def at(self, port: int) -> str:
        """The address of another port of process 0."""
        return f"[{self.name}]:{port}" if ":" in self.name else f"{self.name}:{port}"

    def host(self, port: int) -> Host:
        """What a worker of this process is told, where the workers meet at a port of process 0."""
        return Host(self.at(port), self.processes, self.process, self.wait_s, list(self.gpus) if self.gpus else None)


def meeting_from(coordinator: str | None, processes: int | None, process: int | None, wait_s: float | None, *,
                 suite: Suite, device: str, devices: int | None, shard: str | None, executor: str) -> Meeting | None:
    """The meeting that options ask for; None for a run of one process.

    Args:
        coordinator: HOST:PORT of process 0, or "auto" for what the cluster says.
        processes, process: how many there are, and the number of this one; not beside "auto".
        wait_s: seconds that each waits for the others; None: as long as usual.
        suite: what is run.
        device: "auto", "cpu" or "gpu".
        devices: how many share the lanes, as many of each host; None: all.
        shard, executor: other ways to more machines, which can't be combined with this one.

    Raises:
        SuiteError: with every error found.
    """
    options = {"--coordinator": coordinator, "--processes": processes, "--process-id": process}
    if all(value is None for value in options.values()):
        if wait_s is not None:
            raise SuiteError([field_error("--wait", "is for --coordinator", wait_s,
                                          "Leave it out, or add --coordinator HOST:PORT.")])
        return None
    waits = WAIT_S if wait_s is None else wait_s
    errors = [field_error("--coordinator", f"can't be combined with {name}", str(coordinator), f"Leave out {name}.")
              for name, there in (("--shard", shard is not None), ("--executor", executor != "local")) if there]
    if suite.claims is not None:
        errors.append(field_error("--coordinator", "is for suites of cells, and this is one of claims",
                                  str(coordinator), "Leave it out: claims run on one device."))
    if coordinator == AUTO:
        errors += [field_error(name, f"is not for --coordinator {AUTO}, which asks the cluster", options[name],
                               "Leave it out, or give --coordinator HOST:PORT.")
                   for name in ("--processes", "--process-id") if options[name] is not None]
        found = None if errors else _detected(waits)
    else:
        found = _given(options, waits, errors)
    if found is None:
        raise SuiteError(errors)
    words = {**options, "--wait": None if wait_s is None else f"{wait_s:g}"}
    found = replace(found, options=tuple(f"{name}={value}" for name, value in words.items() if value is not None))
    if devices is None:
        return found
    if devices % found.processes:
        raise SuiteError([field_error("--devices", f"must be divisible by the {found.processes} processes", devices,
                                      "Each host gives as many.")])
    given = found.gpus is not None or device == "cpu"
    return found if given else replace(found, gpus=tuple(range(devices // found.processes)))


def share(devices: int | str, processes: int) -> int:
    """Devices that one of so many hosts makes of its CPU; one where all there are shall be used.

    >>> share(8, 2), share("all", 2)
    (4, 1)
    """
    return devices // processes if isinstance(devices, int) else 1


def _given(options: dict[str, str | int | None], wait_s: float, errors: list[str]) -> Meeting | None:
    """The meeting of three options, or None and why not among the errors."""
    coordinator, processes, process = options.values()
    others = " and ".join(name for name, value in options.items() if value is not None)
    errors += [f"{name}: is needed beside {others} (got nothing). Give --coordinator HOST:PORT, --processes N and "
               f"--process-id I, or --coordinator {AUTO} alone." for name, value in options.items() if value is None]
    form = ADDRESS.fullmatch(str(coordinator))
    if coordinator is not None and (form is None or not 0 < int(form[3]) < 65_536):
        errors.append(field_error("--coordinator", "must be HOST:PORT of process 0, or auto", coordinator,
                                  "Use for example node1:1234."))
    if isinstance(processes, int) and isinstance(process, int) and not 0 <= process < processes:
        errors.append(field_error("--process-id", f"must be from 0 to {processes - 1}", process,
                                  f"Number the {processes} processes from 0, each differently."))
    if errors or form is None:
        return None
    return Meeting(name=form[1] or form[2], port=int(form[3]), processes=int(processes or 0),
                   process=int(process or 0), wait_s=wait_s)


def _detected(wait_s: float) -> Meeting:
    """The meeting as JAX's own detection finds it in the cluster's variables; raises SuiteError where it can't."""
    found: dict[str, Any]
    try:
        done = subprocess.run([sys.executable, "-m", "bench.detect", str(round(wait_s))], capture_output=True,
                              text=True, timeout=wait_s + DETECT_S, check=False)
        said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["no answer"]
        found = json.loads(said[-1]) if done.returncode == 0 else {"error": said[-1]}
    except (subprocess.TimeoutExpired, ValueError) as error:
        found = {"error": str(error)}
    form = ADDRESS.fullmatch(str(found.get("coordinator")))
    if form is None:
        todo = ("Start it by srun: a shell in an allocation has half of them" if "SLURM_JOB_ID" in os.environ
                else "Start it by srun or mpirun")
        raise SuiteError([f"--coordinator: {AUTO} finds no cluster (got "
                          f"{found.get('error') or 'no whole set of its variables'}). {todo}, or give --coordinator "
                          "HOST:PORT, --processes N and --process-id I."])
    return Meeting(name=form[1] or form[2], port=int(form[3]), processes=found["processes"], process=found["process"],
                   wait_s=wait_s, gpus=tuple(found["gpus"]) if found["gpus"] is not None else None)
