"""What a run was measured on: machine, versions, settings, code; the parent asks without importing JAX."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jax", "jaxlib", "optax", "numpy", "pandas", "scipy", "scikit-learn", "pyarrow")
DECIDING = ("jax", "jaxlib", "optax", "numpy", "scikit-learn")  # another version may change what a lane computes
SETTINGS = ("XLA_", "JAX_", "OMP_", "OPENBLAS_", "MKL_", "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE", "TF_CPP_")
CPUS = "--xla_force_host_platform_device_count="
DETERMINISTIC = "--xla_gpu_exclude_nondeterministic_ops=true"
MEASURING = ("bench/suite.py", "bench/suite_fields.py", "bench/worker.py", "bench/planning.py", "bench/problems.py",
             "bench/experiment.py", "bench/tuning.py", "bench/clock.py", "bench/samples.py", "bench/together.py",
             "bench/step_times.py", "bench/noise.py", "bench/noise_worker.py", "bench/device.py", "bench/memory.py",
             "bench/gradient_noise.py", "bench/shards.py", "bench/analysis/noise.py", "bench/analysis/intervals.py",
             "bench/analysis/resampling.py", "bench/analysis/scaling.py", "bench/study/worker.py",
             "bench/study/tables.py", "bench/study/claim.py", "bench/study/claims/**/*.py")


def describe(jax_facts: Mapping[str, object] | None = None) -> dict[str, object]:
    """Everything that must be known to believe or repeat a run.

    Args:
        jax_facts: what only the worker knows (see `bench.device.facts`); added on top.

    Returns:
        Plain data for run.json: sizes in bytes, load as the mean number of running processes over 1, 5, 15 minutes.

    Example:
        >>> describe({"backend": "cpu"})["backend"]
        'cpu'
    """
    return {
        "utc": utc_now(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(PACKAGES),
        "cpu_model": cpu_model(),
        "cores_logical": psutil.cpu_count(logical=True),
        "cores_physical": psutil.cpu_count(logical=False),
        "affinity": affinity(),
        "ram_bytes": psutil.virtual_memory().total,
        "ram_available_bytes": psutil.virtual_memory().available,
        "load_before": load(),
        "settings": settings(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": _git_dirty(),
        "code_sha256": code_hash(),
        "command": command_line(),
        **(jax_facts or {}),
    }


def settings() -> dict[str, str]:
    """The variables of this process that JAX, XLA and the maths libraries listen to."""
    return {key: value for key, value in sorted(os.environ.items()) if key.startswith(SETTINGS)}


def worker_settings(deterministic: bool, device: str, devices: int = 1) -> dict[str, str]:
    """Variables that a worker's process must have before it imports JAX; the user's own flags are kept.

    Args:
        deterministic: whether the suite asks for it; it matters on a GPU only.
        device: "auto", "cpu" or "gpu".
        devices: how many of them share the lanes; on a CPU they are made of the one there is.

    >>> worker_settings(True, "cpu")
    {}
    """
    flags = [f"{CPUS}{devices}"] if device == "cpu" and devices > 1 else []
    flags += [DETERMINISTIC] if deterministic and device != "cpu" else []
    return {"XLA_FLAGS": " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()} if flags else {}


def utc_now() -> str:
    """The time now, ISO 8601 in UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Installed versions by package; None where it is not installed."""
    return {package: _version(package) for package in packages}


def command_line() -> list[str]:
    """The command as it can be typed again; no paths of this machine."""
    return ["python", "-m", "bench", *sys.argv[1:]] if Path(sys.argv[0]).parent.name == "bench" else [*sys.argv]


def load() -> list[float]:
    """Load averages over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in psutil.getloadavg()]


def now() -> dict[str, object]:
    """What tells how busy this machine is: load averages and cores, under the names that `describe` has."""
    return {"load_before": load(), "affinity": affinity(), "cores_logical": os.cpu_count()}


def affinity() -> list[int] | None:
    """The cores this process may run on; None where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def code_hash() -> str:
    """SHA-256 of the sources that decide what is measured: all of gdjax, and what of the harness measures."""
    files = sorted(ROOT.glob("gdjax/**/*.py")) + [path for name in MEASURING for path in sorted(ROOT.glob(name))]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def changes(before: Mapping[str, object], now: Mapping[str, object], processor: bool = True) -> list[str]:
    """What differs between two environments that may change results: versions, processor if asked for, code, as texts.

    >>> changes({"versions": {"jax": "1"}}, {"versions": {"jax": "2"}})
    ["versions.jax: '1' -> '2'"]
    """
    old, new = before.get("versions"), now.get("versions")
    old, new = (old if isinstance(old, Mapping) else {}), (new if isinstance(new, Mapping) else {})
    changed = [name for name in DECIDING if old.get(name) != new.get(name)]
    texts = [f"versions.{name}: {old.get(name)!r} -> {new.get(name)!r}" for name in changed]
    codes = [str(each.get("code_sha256"))[:12] for each in (before, now)]
    models = before.get("cpu_model"), now.get("cpu_model")
    texts += [f"cpu_model: {models[0]!r} -> {models[1]!r}"] if processor and models[0] != models[1] else []
    return texts + ([f"code: {codes[0]} -> {codes[1]}"] if codes[0] != codes[1] else [])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10,
                              check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _git_dirty() -> bool | None:
    changed = _git("status", "--porcelain")
    return None if changed is None else bool(changed)
