"""Softmax regression on the digits in eager PyTorch: batched over lanes, and one training after another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from bench.peers.digits import Job, Params
from bench.peers.workload import RIDGE

Draw = Callable[[int], torch.Tensor]


def batched(job: Job, batches: np.ndarray | None = None) -> Callable[[], Params]:
    """All lanes in one product, by autograd.

    The weights of a start's settings lie side by side, (features, settings · classes): its batch is multiplied once.
    """
    X, y, W, rates, draw, groups, members, classes = _ready(job, batches)

    def run() -> Params:
        weights = W.clone().requires_grad_()
        bias = torch.zeros(groups, 1, members * classes, requires_grad=True)
        for step in range(job.steps):
            index = draw(step)
            scores = torch.baddbmm(bias, X[index], weights)
            labels = y[index][:, :, None].expand(-1, -1, members)
            entropy = functional.cross_entropy(scores.view(-1, classes), labels.reshape(-1), reduction="sum")
            loss = entropy / job.batch + RIDGE / 2 * (weights**2).sum()
            slopes = torch.autograd.grad(loss, (weights, bias))
            with torch.no_grad():
                weights -= rates[step] * slopes[0]
                bias -= rates[step] * slopes[1]
        return _ends(weights.detach(), bias.detach(), members, classes)

    return run


def by_hand(job: Job, batches: np.ndarray | None = None) -> Callable[[], Params]:
    """The same with the gradient written out: softmax less the labels, and one more product."""
    X, y, W, rates, draw, groups, members, classes = _ready(job, batches)

    def run() -> Params:
        with torch.inference_mode():
            weights, bias = W.clone(), torch.zeros(groups, 1, members * classes)
            marked = torch.full((groups, job.batch, members, 1), -1.0)
            for step in range(job.steps):
                index = draw(step)
                features = X[index]
                shape = (groups, job.batch, members, classes)
                errors = torch.baddbmm(bias, features, weights).view(shape).softmax(-1)
                labels = y[index][:, :, None, None].expand(-1, -1, members, 1)
                errors = errors.scatter_add_(-1, labels, marked).view(groups, job.batch, -1)
                slope = torch.bmm(features.mT, errors)
                weights -= rates[step] * (slope / job.batch + RIDGE * weights)
                bias -= rates[step] * errors.mean(1, keepdim=True)
            return _ends(weights, bias, members, classes)

    return run


def single(job: Job, batches: np.ndarray | None = None) -> Callable[[], Params]:
    """The first lane alone, as the tutorials write it: a layer, a loss, `torch.optim.SGD`."""
    X, y = torch.tensor(job.X), torch.tensor(job.y).long()
    draw = _draw(job, batches)
    rates = job.rates[0].tolist()

    def run() -> Params:
        layer = torch.nn.Linear(X.shape[1], job.W.shape[1])
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(job.W[0]))
            layer.bias.zero_()
        optimizer = torch.optim.SGD(layer.parameters(), lr=rates[0])
        for step in range(job.steps):
            index = draw(step)[0]
            optimizer.param_groups[0]["lr"] = rates[step]
            optimizer.zero_grad()
            loss = functional.cross_entropy(layer(X[index]), y[index]) + RIDGE / 2 * (layer.weight**2).sum()
            loss.backward()
            optimizer.step()
        return layer.weight.detach().T.numpy(), layer.bias.detach().numpy()

    return run


def _ready(job: Job, batches: np.ndarray | None) -> tuple:
    """Tensors: examples, labels, weights (starts, features, settings · classes), rates (steps, 1, 1 or columns)."""
    groups, classes, features = job.W.shape
    members = len(job.rates)
    W = torch.tensor(job.W).mT[:, :, None, :].expand(-1, -1, members, -1).reshape(groups, features, -1).contiguous()
    rates = torch.tensor(job.rates).T.repeat_interleave(classes, 1)[:, None, None, :]  # one for each column
    return (torch.tensor(job.X), torch.tensor(job.y).long(), W, rates[:, 0], _draw(job, batches), groups, members,
            classes)


def _draw(job: Job, batches: np.ndarray | None) -> Draw:
    """The examples of a step, (starts, batch): drawn at random, or given."""
    torch.manual_seed(0)
    if batches is None:
        return lambda step: torch.randint(len(job.X), (len(job.W), job.batch))
    table = torch.tensor(batches).long()
    return lambda step: table[step]


def _ends(weights: torch.Tensor, bias: torch.Tensor, members: int, classes: int) -> Params:
    """W (starts, settings, features, classes) and b (starts, settings, classes)."""
    groups, features, _ = weights.shape
    return (weights.view(groups, features, members, classes).transpose(1, 2).numpy(),
            bias.view(groups, members, classes).numpy())
