"""Rosenbrock descents vectorised by hand, in NumPy and eager PyTorch: gradient written out, ended lanes taken out."""

from __future__ import annotations

import numpy as np
import torch

Ends = tuple[np.ndarray, np.ndarray]


def descend_numpy(start: np.ndarray, rate: np.ndarray, tolerance: float, max_steps: int) -> Ends:
    """Ends (lanes, 2) and steps (lanes,) of all lanes."""
    ends, steps = start.copy(), np.full(len(start), max_steps, np.int32)
    lanes = np.arange(len(start))
    x, y, rate = start[:, 0].copy(), start[:, 1].copy(), rate.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(max_steps):
            slope = y - x * x
            in_x, in_y = -400 * x * slope - 2 * (1 - x), 200 * slope
            norm = in_x * in_x + in_y * in_y
            ended = ~(norm > tolerance**2) | ~np.isfinite(norm)
            if ended.any():
                ends[lanes[ended], 0], ends[lanes[ended], 1], steps[lanes[ended]] = x[ended], y[ended], step
                keep = ~ended
                lanes, x, y, rate, in_x, in_y = (each[keep] for each in (lanes, x, y, rate, in_x, in_y))
                if not len(lanes):
                    break
            x -= rate * in_x
            y -= rate * in_y
    ends[lanes, 0], ends[lanes, 1] = x, y
    return ends, steps


def descend_torch(start: np.ndarray, rate: np.ndarray, tolerance: float, max_steps: int) -> Ends:
    """The same on tensors."""
    with torch.inference_mode():
        ends, steps = torch.tensor(start), torch.full((len(start),), max_steps, dtype=torch.int32)
        lanes = torch.arange(len(start))
        x, y, rates = ends[:, 0].clone(), ends[:, 1].clone(), torch.tensor(rate)
        for step in range(max_steps):
            slope = y - x * x
            in_x, in_y = -400 * x * slope - 2 * (1 - x), 200 * slope
            norm = in_x * in_x + in_y * in_y
            going = (norm > tolerance**2) & torch.isfinite(norm)
            if not going.all():
                ended = ~going
                ends[lanes[ended], 0], ends[lanes[ended], 1], steps[lanes[ended]] = x[ended], y[ended], step
                lanes, x, y, rates, in_x, in_y = (each[going] for each in (lanes, x, y, rates, in_x, in_y))
                if not len(lanes):
                    break
            x -= rates * in_x
            y -= rates * in_y
        ends[lanes, 0], ends[lanes, 1] = x, y
        return ends.numpy(), steps.numpy()
