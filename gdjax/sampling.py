"""Which examples a step uses: (seed, epoch, position) -> example indices, with nothing stored.

"Shuffle" is a permutation of the examples that is computed, not kept: a Feistel network over an a × b grid just above
n, walked until it lands below n (Black & Rogaway 2002, "Ciphers with arbitrary finite domains", cycle walking). The
index of a position is a pure function of (seed, epoch, position), so a lane can be restarted, moved or shared without
carrying an (examples,) array. "Replacement" hashes (seed, step, position in the batch).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

SAMPLINGS = ("shuffle", "replacement")
ROUNDS = 4  # double rounds: adjacent pairs fail a χ² test at 2 and 3 for n near 100, pass at 4 (tests)
FEW = 8  # cells beyond n that are followed once an epoch; where there are more, each index walks on its own
RANKED = 64  # up to here an order of hashes: a Feistel network on so small a grid knows too few permutations
GOLDEN = 0x9E3779B9


def hash32(x: jax.Array) -> jax.Array:
    """A bijective 32-bit mixer, uint32 -> uint32 (C. Wellons 2018, "lowbias32", avalanche bias 0.17)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def batch(
    sampling: str, examples: int, batch_size: int, seed: jax.Array, epoch: jax.Array, position: jax.Array
) -> jax.Array:
    """Example indices of the batch that begins at (epoch, position), (batch_size,) int32.

    A batch that reaches the end of the epoch goes on in the next, so every example is used exactly once an epoch.

    Args:
        sampling: "shuffle" or "replacement".
        examples: n, static.
        batch_size: static, at most n.
        seed: (2,) uint32 words of the batch stream.
        epoch: () int32, epochs completed before the batch.
        position: () int32 in [0, n), examples of this epoch already used.

    Example:
        >>> import jax.numpy as jnp
        >>> seed = jnp.array([1, 2], jnp.uint32)
        >>> sorted(gdjax.sampling.batch("shuffle", 5, 5, seed, jnp.int32(0), jnp.int32(0)).tolist())
        [0, 1, 2, 3, 4]
    """
    return drawn(sampling, examples, batch_size, *epochs_of(sampling, examples, batch_size, seed, epoch), position)


class Epoch(NamedTuple):
    """What all draws from one epoch share: it serves many steps, so it is not part of one."""

    words: tuple[jax.Array, jax.Array]
    landings: tuple[jax.Array, ...] = ()  # where each cell beyond n lands, if those are few
    places: jax.Array | None = None  # (n, 1), of each example in the order, up to 64 of them


def epochs_of(
    sampling: str, examples: int, batch_size: int, seed: jax.Array, epoch: jax.Array
) -> tuple[Epoch, Epoch]:
    """What `drawn` needs of an epoch and of the next; arguments as in `batch`."""
    if examples % batch_size == 0:  # no batch reaches over the epoch's edge
        now = epoch_of(sampling, examples, seed, epoch)
        return now, now
    both = jax.vmap(functools.partial(epoch_of, sampling, examples, seed))(jnp.stack([epoch, epoch + 1]))
    now, later = (jax.tree.map(lambda leaf, which=which: leaf[which], both) for which in (0, 1))
    return now, later


def epoch_of(sampling: str, examples: int, seed: jax.Array, epoch: jax.Array) -> Epoch:
    """What `drawn` needs of one epoch."""
    words = _words(seed, epoch)
    rows, columns = grid(examples)
    if sampling == "replacement":
        return Epoch(words)
    if examples <= RANKED:
        return Epoch(words, places=_places(examples, *words))
    return Epoch(words, _landings(examples, rows, columns, *words) if rows * columns - examples <= FEW else ())


def drawn(
    sampling: str, examples: int, batch_size: int, now: Epoch, later: Epoch, position: jax.Array
) -> jax.Array:
    """Example indices of a batch that begins at a position of an epoch and may end in the next, (batch_size,) int32.

    For many streams at the same position, (batch_size, streams), where leaves of their epochs have such a last axis.
    """
    place = position + jnp.arange(batch_size, dtype=jnp.int32)
    place = place.reshape(-1, *[1] * now.words[0].ndim)
    if examples % batch_size:
        over = place >= examples
        place = jnp.where(over, place - examples, place)
        now = jax.tree.map(lambda now, later: jnp.where(over, later, now), now, later)  # places: (n, batch, …)
    place = place.astype(jnp.uint32)
    if sampling == "replacement":
        return (hash32(hash32(place + now.words[0]) ^ now.words[1]) % examples).astype(jnp.int32)
    if now.places is not None:
        every = jnp.arange(examples, dtype=jnp.int32).reshape(-1, *[1] * place.ndim)
        return jnp.sum(jnp.where(now.places == place, every, 0), axis=0, dtype=jnp.int32)
    rows, columns = grid(examples)
    index = _feistel(place, rows, columns, *now.words)
    if rows * columns - examples > FEW:
        index = _walk(index, examples, rows, columns, *now.words)
    for cell, lands in enumerate(now.landings, start=examples):
        index = jnp.where(index == cell, lands, index)
    return index.astype(jnp.int32)


def grid(examples: int) -> tuple[int, int]:
    """Rows and columns of the smallest near-square grid with at least n cells: fewer cells beyond n, fewer walks.

    >>> gdjax.sampling.grid(1797)
    (31, 58)
    """
    root = math.isqrt(examples - 1) + 1
    # a search of 64 widths finds an excess of a few cells; wider grids than 2:1 would need more rounds
    widths = range(root, min(2 * root, root + 64) + 1)
    columns = min(widths, key=lambda width: (-(-examples // width) * width, width))
    return -(-examples // columns), columns


def advance(examples: int, batch_size: int, epoch: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(epoch, position) after one more batch; kept as a pair because steps × batch size outgrows 32 bits."""
    position = position + batch_size
    over = position >= examples
    return epoch + over, jnp.where(over, position - examples, position)


def _places(examples: int, first: jax.Array, second: jax.Array) -> jax.Array:
    """The place of each example in the order of an epoch, (n, 1): so many hashes are smaller.

    Exactly uniform but for the hash, dear beyond a few dozen. No two hashes are equal, so this is the order of their
    sort; counting pairs, many in one instruction, takes a twentieth of the time of XLA's.
    """
    hashes = hash32(hash32(jnp.arange(examples, dtype=jnp.uint32) + first) ^ second)
    return jnp.sum(hashes[:, None] < hashes, axis=0, dtype=jnp.uint32)[:, None]


def _landings(examples: int, rows: int, columns: int, first: jax.Array, second: jax.Array) -> tuple[jax.Array, ...]:
    """Where each cell beyond n lands below it, () each.

    One that has not landed after as many turns as there are cells is on a cycle of such cells, which no position
    enters.
    """
    landed = jnp.arange(examples, rows * columns, dtype=jnp.uint32)
    for _ in range(landed.size):
        landed = jnp.where(landed >= examples, _feistel(landed, rows, columns, first, second), landed)
    return tuple(jnp.unstack(landed))


def _walk(index: jax.Array, examples: int, rows: int, columns: int, first: jax.Array, second: jax.Array) -> jax.Array:
    """Indices beyond n are sent through the network again until they land below it."""
    def again(index: jax.Array) -> jax.Array:
        return jnp.where(index >= examples, _feistel(index, rows, columns, first, second), index)

    return jax.lax.while_loop(lambda index: jnp.any(index >= examples), again, index)


@functools.partial(jax.jit, static_argnums=(1, 2))  # so that a program that draws in several places traces it once
def _feistel(index: jax.Array, rows: int, columns: int, first: jax.Array, second: jax.Array) -> jax.Array:
    row, column = index // jnp.uint32(columns), index % jnp.uint32(columns)
    for turn in range(ROUNDS):
        row = _shift(row, column, rows, first + jnp.uint32(2 * turn * GOLDEN % 2**32), second)
        column = _shift(column, row, columns, first + jnp.uint32((2 * turn + 1) * GOLDEN % 2**32), second)
    return row * jnp.uint32(columns) + column


def _shift(value: jax.Array, other: jax.Array, size: int, first: jax.Array, second: jax.Array) -> jax.Array:
    """(value + hash(other)) mod size.

    The hash is scaled, not divided, into 0 … size − 1 (a division costs more than it).
    """
    mixed = hash32((other + first) ^ second)
    value = value + ((mixed >> 16) * jnp.uint32(size) >> 16 if size <= 1 << 16 else mixed % jnp.uint32(size))
    return jnp.where(value >= size, value - jnp.uint32(size), value)


def _words(seed: jax.Array, epoch: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two words for an epoch of a batch stream."""
    first = hash32(seed[0] + epoch.astype(jnp.uint32) * jnp.uint32(GOLDEN))
    return first ^ seed[1], hash32(first + seed[1])
