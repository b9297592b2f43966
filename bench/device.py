"""The device of a worker: JAX set up for it, a preflight that computes on it, and what is known of it; imports JAX."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bench import environment

INSTALL_HINT = "Install a GPU build: pip install -e '.[cuda12]' or '.[cuda13]', or use --device cpu."
BUSY_HINT = "Free the device (nvidia-smi shows who uses it), or use --device cpu."
PRECISION = {"default": None, "tf32": "tensorfloat32", "bf16": "bfloat16"}  # a suite's word -> JAX's, where they differ
SIDE = 256  # of the matrix that the preflight multiplies
SMI_S = 10  # seconds that nvidia-smi has to answer
LIMIT = 300  # characters of an error that is not ours


class Opened(NamedTuple):
    """The platform that holds the arrays ("cpu", "gpu"); or what is wrong. `warning` is worth a word, or empty."""

    platform: str
    trouble: str
    warning: str


def open_device(asked: str, dtype: str, matmul_precision: str, count: int | str = 1) -> Opened:
    """Set JAX up for a run and make sure that the device asked for is there and computes.

    Nothing falls back: a device that is missing or can't compute is trouble, whatever else there is.

    Args:
        asked: "auto", "cpu" or "gpu".
        dtype: "float32" or "float64".
        matmul_precision: in a suite's words.
        count: how many devices share the lanes, of all hosts together; "all": those there are.
    """
    jax.config.update("jax_enable_compilation_cache", False)  # a cached program would hide its compile time
    jax.config.update("jax_enable_x64", dtype == "float64")
    jax.config.update("jax_default_matmul_precision", PRECISION.get(matmul_precision, matmul_precision))
    if asked == "cpu":
        jax.config.update("jax_platforms", "cpu")
    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        return _missing(asked, f"none: {_first_line(error)}")
    platform, names = devices[0].platform, ", ".join(str(each) for each in devices)
    if asked == "gpu" and platform != "gpu":
        return _missing(asked, f"{names}; {_why_no_gpu()}")
    if isinstance(count, int) and (len(devices) < count or (jax.process_count() > 1 and len(devices) > count)):
        return Opened("", f"devices: {count} are asked for (got {len(devices)}: {names}). Ask for as many as there "
                          "are, in the suite or by --devices; with --device cpu they are made of one CPU.", "")
    each = Counter(device.process_index for device in devices)
    if len(set(each.values())) > 1:
        found = ", ".join(f"{many} in process {process}" for process, many in sorted(each.items())[:10])
        return Opened("", f"devices: hosts must have as many each (got {found}). Give --devices N: each gives "
                          "its share of them.", "")
    try:
        compute()
    except Exception as error:  # whatever a driver raises: out of memory, busy, no kernel for this device
        return Opened("", f"--device: {devices[0]} ({devices[0].device_kind}) can't compute (got {_first_line(error)}; "
                          f"found {names}). {BUSY_HINT if platform == 'gpu' else INSTALL_HINT}", "")
    unused = asked == "auto" and platform == "cpu" and not os.environ.get("JAX_PLATFORMS") and _nvidia_smi("name")
    return Opened(platform, "", f"--device auto: runs on the CPU although there is a GPU (got {unused}; "
                                f"{_why_no_gpu()}). {INSTALL_HINT}" if unused else "")


def compute() -> None:
    """A product of two matrices on the default device, and its value checked; raises what the device raises."""
    ones = jnp.ones((SIDE, SIDE), jnp.float32)
    found = float(jax.block_until_ready(ones @ ones)[0, 0])
    if found != SIDE:
        raise RuntimeError(f"a sum of {SIDE} ones came out as {found}")


def facts() -> dict[str, object]:
    """What only a process that holds the device knows of it; memory in bytes, None where the device does not tell."""
    first = jax.local_devices()[0]
    stats = first.memory_stats() or {}
    return {"backend": jax.default_backend(), "device_kind": first.device_kind, "device_count": jax.device_count(),
            "processes": jax.process_count(), "devices_per_process": jax.local_device_count(),
            "device_memory_bytes": stats.get("bytes_limit"),
            "driver_version": _nvidia_smi("driver_version") if first.platform == "gpu" else None,
            "x64": jax.config.read("jax_enable_x64"), "affinity": environment.affinity(),
            "settings": environment.settings()}


def _missing(asked: str, found: str) -> Opened:
    return Opened("", f"--device: no {asked} device (got {found}). {INSTALL_HINT}", "")


def _why_no_gpu() -> str:
    """JAX's own reason for having no GPU."""
    try:
        jax.devices("gpu")
    except (RuntimeError, AssertionError) as error:
        return _first_line(error)
    return "JAX_PLATFORMS puts the CPU first"


def _nvidia_smi(field: str) -> str | None:
    """A fact that the driver tells, of the first GPU; None where there is no nvidia-smi or no answer."""
    if shutil.which("nvidia-smi") is None:
        return None
    try:
        done = subprocess.run(["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"], capture_output=True,
                              text=True, timeout=SMI_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:LIMIT]
