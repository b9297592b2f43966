"""A classifier of images by convolutions and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.checks import whole
from gdjax.problems.parts import (
    RIDGE,
    Examples,
    Params,
    check_classified,
    check_ridge,
    cross_entropy,
    penalty,
    share_of_largest,
    summary,
)
from gdjax.problems.registry import register

LAYOUT = "NHWC", "HWIO", "NHWC"  # images last by channel: slices of a row are then whole vectors
SIDE = 3  # of a kernel
POOL = 1, 2, 2, 1


@register("digits-cnn")
def digits_cnn() -> Problem:
    """Two convolutions of 8 and 16 channels on handwritten digits: 1,797 images of 8 × 8 in [0, 1], 10 classes.

    Ridge λ = 1e-3 on kernels and weights. Not convex: no optimum is known, so its targets are losses.
    Starts: kernels and weights from N(0, 2/inputs), intercepts 0.

    Source: Alpaydin & Kaynak 1998; scikit-learn's copy.
    """
    X, y = data.digits()
    problem = convolutional(X / 16, y, shape=(8, 8), classes=10, name="digits-cnn")
    return replace(problem, source="Alpaydin & Kaynak 1998, digits (scikit-learn), pixels/16, two convolutions")


def convolutional(
    X: np.ndarray,
    y: np.ndarray,
    *,
    shape: Sequence[int],
    channels: Sequence[int] = (8, 16),
    classes: int | None = None,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "convolutional",
) -> Problem:
    """A classifier of images: for each layer u ← pool(relu(K ∗ u + b)), then cross entropy of z = W u + b, plus ridge.

    Kernels are 3 × 3, zeros beyond the edge; a pool takes the largest of 2 × 2, so that a layer halves both sides.
    Ridge is (λ/2)(Σ‖K‖² + ‖W‖²).

    Args:
        X: images as rows, (examples, height · width · colours), in [0, 1].
        y: labels 0…K−1, (examples,).
        shape: (height, width), or (height, width, colours).
        channels: of each layer.
        classes: K; None takes the largest label of y + 1.
        ridge: λ of all kernels and of the weights; the intercepts are free.
        held_out: images and labels kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params "K1" (3, 3, colours, channels), "b1" (channels,), … and "W" (classes, what is left), "b"
        (classes,), an accuracy, starts with kernels and weights from N(0, 2/inputs) and intercepts 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0; a shape
            that does not make a row of X; no channels; images of which the pools leave nothing.

    Example:
        >>> problem = gdjax.problems.convolutional(np.eye(16), np.arange(16) % 2, shape=(4, 4), channels=[5])
        >>> {name: leaf.shape for name, leaf in problem.start(jax.random.key(0)).items()}
        {'K1': (3, 3, 1, 5), 'W': (2, 20), 'b': (2,), 'b1': (5,)}

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86; starts by He et
    al. 2015, "Delving deep into rectifiers", ICCV, equation 10.
    """
    ridge = check_ridge(ridge)
    (X, y), held_out, classes = check_classified(X, y, held_out, classes)
    image, channels = _check_image(shape, X.shape[1]), _check_channels(channels, shape)
    inputs = [image[2], *channels]
    left = math.prod(side >> len(channels) for side in image[:2]) * channels[-1]
    layers = range(1, len(channels) + 1)

    def decay(params: Params) -> jax.Array:
        return penalty(ridge, params["W"], *(params[f"K{layer}"] for layer in layers))

    def scores(params: Params, row: jax.Array) -> jax.Array:
        units = row.reshape(1, *image)
        for layer in layers:
            mixed = jax.lax.conv_general_dilated(units, params[f"K{layer}"], (1, 1), "SAME", dimension_numbers=LAYOUT)
            units = jax.nn.relu(mixed + params[f"b{layer}"])
            units = jax.lax.reduce_window(units, -jnp.inf, jax.lax.max, POOL, POOL, "VALID")
        return params["W"] @ units.ravel() + params["b"]

    def loss(params: Params, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        row, label = example
        return cross_entropy(scores(params, row), label) + decay(params)

    def accuracy(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        rows, labels = batch
        return share_of_largest(jax.vmap(scores, (None, 0), 1)(params, rows), labels)

    def init(key: jax.Array) -> Params:
        *keys, last = jax.random.split(key, len(channels) + 1)
        params = {f"K{layer}": he(each, (SIDE, SIDE, *inputs[layer - 1 : layer + 1]), SIDE**2 * inputs[layer - 1])
                  for layer, each in zip(layers, keys, strict=True)}
        params["W"] = he(last, (classes, left), left)
        return params | {f"b{layer}": jnp.zeros(inputs[layer]) for layer in layers} | {"b": jnp.zeros(classes)}

    return Problem(
        name=name,
        loss=loss,
        init=init,
        data=(X, y),
        held_out=held_out,
        accuracy=accuracy,
        source=summary(f"convolutions of {' and '.join(map(str, channels))} channels", X, f"{classes} classes",
                       f"ridge {ridge:g}"),
    )


def he(key: jax.Array, shape: tuple[int, ...], inputs: int) -> jax.Array:
    """Weights of a shape from N(0, 2/inputs)."""
    return jnp.sqrt(2 / inputs) * jax.random.normal(key, shape)


def _check_image(shape: Sequence[int], columns: int) -> tuple[int, int, int]:
    """Height, width and colours of an image that makes a row of X."""
    if not (isinstance(shape, tuple | list) and len(shape) in (2, 3)):
        raise ValueError(f"shape: must be (height, width) or (height, width, colours) (got {shape!r}).")
    for side in shape:
        whole("shape", side, 1, "These are pixels and colours of an image.")
    if math.prod(shape) != columns:
        raise ValueError(f"shape: must make a row of X (got {tuple(shape)}, which is {math.prod(shape)} numbers; X has "
                         f"{columns} columns). Give the height, width and colours of the images.")
    height, width, *colours = shape
    return height, width, colours[0] if colours else 1


def _check_channels(channels: Sequence[int], shape: Sequence[int]) -> list[int]:
    if not isinstance(channels, tuple | list) or len(channels) == 0:
        raise ValueError(f"channels: must be those of one layer or more (got {channels!r}). Try (8, 16).")
    for each in channels:
        whole("channels", each, 1, "These are the channels of a layer; softmax_regression has no layers.")
    if min(shape[:2]) >> len(channels) == 0:
        raise ValueError(f"channels: as many layers leave nothing of the images (got {len(channels)} layers, images of "
                         f"{shape[0]} × {shape[1]}). Each halves both sides: use fewer.")
    return list(channels)
