"""A problem: the loss of one example, a way to draw a random start, the data, the optimum if known."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import sizes, tiles, windows
from gdjax.examples import check_data
from gdjax.precision import at_least_float32
from gdjax.sizes import Sizes

PyTree = object
"""Any nesting of dicts, lists, tuples and registered classes with arrays as leaves."""
Made = TypeVar("Made")
KEPT = 128  # things that a problem keeps at once
_lock = threading.Lock()


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """An objective to descend: the mean over the data of the loss of one example.

    J(w) = (1/n) Σᵢ loss(w, exampleᵢ), or J(w) = loss(w) when there is no data.

    Args:
        name: what reports call it.
        loss: `loss(params, example) -> scalar`, the loss of ONE example, a pytree like `data` without its leading axis;
            `loss(params) -> scalar` when `data` is None.
        init: `init(key) -> params`, one random start (any pytree of arrays).
        data: pytree of arrays sharing their leading (examples) axis, or None. They are not copied: leave them as they
            are.
        optimum: the smallest value of J, or None when it is not known; runs that come below it warn.
        batch_loss: `batch_loss(params, batch) -> scalar`, for a loss that does not split into examples; or beside
            `loss` the same mean in a layout that is faster for many examples (`loss` then serves batches of one).
        optimum_tolerance: how far above the true minimum `optimum` may be, in units of J (0 for a closed form).
        initial_loss: median of J over 1,001 starts of a fixed key, f₀ of the targets; None to compute it when asked
            for.
        minimizer: parameters at which J equals `optimum`, or None.
        dtype: "float32" or "float64" for data and starts; None leaves JAX's default.
        source: where formula and data come from.
        maximise: `loss` is a utility to climb (gradient ascent). J is minus its mean, and so is every loss that tables
            show; `optimum` and `initial_loss` are values of J too.
        minima: known local minima, the params of each along a leading (minima,) axis; None when they are not listed.
        domain: (low, high) of the box of starts in every coordinate, what pictures show; None where starts have none.
        held_out: examples kept from training, a pytree like `data`; their loss is told beside the final loss.
        accuracy: `accuracy(params, batch) -> share of the batch classified rightly`, told of the held-out examples, or
            of the data where none are held out.

    Raises:
        ValueError, TypeError: data without rows, with unequal leading axes or with values that are not finite or that
            JAX can't hold; neither `loss` nor `batch_loss`, or what is no function; held-out examples or an accuracy
            without data; an empty domain; float64 asked for while JAX's x64 mode is off.

    Example:
        >>> import jax, gdjax
        >>> bowl = gdjax.Problem(name="bowl", loss=lambda x: x @ x, init=lambda key: jax.random.normal(key, (2,)),
        ...                      optimum=0.0)
        >>> bowl.examples
        1
    """

    name: str
    init: Callable[[jax.Array], PyTree]
    loss: Callable[..., jax.Array] | None = None
    data: PyTree | None = None
    optimum: float | None = None
    batch_loss: Callable[..., jax.Array] | None = None
    optimum_tolerance: float = 0.0
    initial_loss: float | None = None
    minimizer: PyTree | None = None
    dtype: str | None = None
    source: str = ""
    maximise: bool = False
    minima: PyTree | None = None
    domain: tuple[float, float] | None = None
    held_out: PyTree | None = None
    accuracy: Callable[..., jax.Array] | None = None

    def __post_init__(self) -> None:
        if self.loss is None and self.batch_loss is None:
            raise ValueError(f"problem {self.name!r}: loss: loss or batch_loss is needed (got neither). "
                             "Give loss(params, example), or batch_loss(params, batch) where it does not split.")
        if self.batch_loss is not None and self.data is None:
            raise ValueError(f"problem {self.name!r}: batch_loss: needs data (got None). "
                             "Use loss(params) without data.")
        self._check_functions()
        if self.optimum is not None and not (np.shape(self.optimum) == () and _are_finite(self.optimum)):
            raise ValueError(f"problem {self.name!r}: optimum: must be finite, one number (got {self.optimum}). "
                             "It is the smallest value of J; use None when unknown.")
        if self.initial_loss is not None and not (
                np.shape(self.initial_loss) == () and _are_finite(self.initial_loss)
                and (self.optimum is None or self.initial_loss >= self.optimum)):
            raise ValueError(f"problem {self.name!r}: initial_loss: must be finite and not below the optimum "
                             f"(got {self.initial_loss}). Use None to have it computed.")
        check_dtype(self.name, self.dtype)
        if self.domain is not None and not (
                np.shape(self.domain) == (2,) and _are_finite(self.domain) and self.domain[0] < self.domain[1]):
            raise ValueError(f"problem {self.name!r}: domain: must be (low, high) with low below high "
                             f"(got {self.domain}). It is the box of starts.")
        for field in ("held_out", "accuracy"):
            if self.data is None and getattr(self, field) is not None:
                raise ValueError(f"problem {self.name!r}: {field}: needs data (got None). Give data, or leave it out.")
        if self.data is not None:
            object.__setattr__(self, "data", check_data(self.name, self.data, dtype=self.dtype))
        if self.held_out is not None:
            object.__setattr__(self, "held_out", check_data(self.name, self.held_out, "held_out", self.dtype))
            trees = [jax.tree.structure(each) for each in (self.data, self.held_out)]
            inner, found = (_examples_in_words(each) for each in (self.data, self.held_out))
            if len(set(trees)) > 1 or inner != found:
                raise ValueError(f"problem {self.name!r}: held_out: must be like data but for the number of examples "
                                 f"(got {found}, data has {inner}). Split one table with gdjax.data.split.")

    def _check_functions(self) -> None:
        for field in ("init", "loss", "batch_loss", "accuracy"):
            value = getattr(self, field)
            if not callable(value) and (value is not None or field == "init"):
                raise TypeError(f"problem {self.name!r}: {field}: must be a function (got {value!r}). "
                                "Give one that JAX can trace.")
        if not isinstance(self.maximise, bool):
            raise TypeError(f"problem {self.name!r}: maximise: must be True or False (got {self.maximise!r}). "
                            "True climbs.")

    @property
    def examples(self) -> int:
        """Number of examples n; a problem without data has one."""
        return 1 if self.data is None else int(jax.tree.leaves(self.data)[0].shape[0])

    @property
    def held_out_examples(self) -> int:
        """Number of examples kept from training."""
        return 0 if self.held_out is None else int(jax.tree.leaves(self.held_out)[0].shape[0])

    def device_data(self) -> PyTree | None:
        """The data as device arrays of the problem's dtype, copied once for each x64 mode.

        The host copy stays in `data`.
        """
        return self._on_device("data")

    def device_held_out(self) -> PyTree | None:
        """The held-out examples as device arrays, kept like `device_data`."""
        return self._on_device("held_out")

    def _on_device(self, field: str) -> PyTree | None:
        with jax.ensure_compile_time_eval():  # what is kept must be arrays, even if a traced function asks first
            return self.once(("on device", field), lambda: jax.tree.map(self._device_leaf, getattr(self, field)))

    def like(self, field: str = "data") -> PyTree | None:
        """Shapes and dtypes of `device_data`, or of the `held_out` examples; nothing is copied."""
        return self.once(("like", field), lambda: jax.tree.map(
            lambda leaf: jax.eval_shape(self._device_leaf, leaf), getattr(self, field)))

    @property
    def shapes(self) -> PyTree:
        """Shapes and dtypes of one set of parameters; nothing is drawn."""
        return self.once("shapes", lambda: jax.eval_shape(self.start, jax.random.key(0)))

    @property
    def loss_like(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the objective; nothing is computed."""
        return self.once("loss", lambda: jax.eval_shape(self.objective, self.shapes, self.like()))

    def once(self, what: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives, made at the first call in each x64 mode: data on the device, programs, what was found out.

        It goes with the problem, or when so many others have been used since.
        """
        held, key = self.__dict__.setdefault("_held", {}), (what, jax.config.read("jax_enable_x64"))
        with _lock:
            if key in held:
                held[key] = held.pop(key)  # now the last one to go
                return held[key]
        made = make()
        with _lock:
            held[key] = made
            if len(held) > KEPT:
                del held[next(iter(held))]
        return made

    def forget(self, made: object) -> None:
        """Let go of what `once` has kept; it is made again when asked for."""
        with _lock:
            held = self.__dict__.get("_held", {})
            for key in [key for key, value in held.items() if value is made]:
                del held[key]

    def __getstate__(self) -> dict[str, object]:
        """What is copied and pickled: what `once` keeps is made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_held"}

    def _device_leaf(self, leaf: np.ndarray) -> jax.Array:
        return self.cast(jnp.asarray(leaf))

    def cast(self, array: jax.Array) -> jax.Array:
        """The array in the problem's dtype where it is a float, unchanged otherwise."""
        wants = self.dtype is not None and jnp.issubdtype(array.dtype, jnp.floating)
        return array.astype(self.dtype) if wants else array

    def start(self, key: jax.Array) -> PyTree:
        """One random start, drawn by `init` and cast to the problem's dtype."""
        return jax.tree.map(lambda leaf: self.cast(jnp.asarray(leaf)), self.init(key))

    @property
    def parameter_bytes(self) -> int:
        """Memory that one set of parameters takes.

        >>> gdjax.problems.get("digits-softmax").parameter_bytes  # 10 classes × 64 pixels and 10 offsets, float32
        2600
        """
        return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.shapes))

    def objective(self, params: PyTree, batch: PyTree | None) -> jax.Array:
        """Mean loss over a batch: a pytree like `data`, (examples, …) leaves, or None for a problem without data."""
        if batch is None or self.loss is None:
            return self._signed(self._mean(params, batch))
        return self._signed(tiles.mean(self._mean, params, batch, self.sizes.example_bytes))

    def _mean(self, params: PyTree, batch: PyTree | None) -> jax.Array:
        """Mean loss over a batch, of all its examples at once."""
        if batch is None:
            return at_least_float32(self.written("loss")(params))
        if self.batch_loss is not None:
            return at_least_float32(self.written("batch_loss")(params, batch))
        return jnp.mean(at_least_float32(jax.vmap(self.written("loss"), (None, 0))(params, batch)))

    def example_objective(self, params: PyTree, example: PyTree) -> jax.Array:
        """J of one example, a pytree like `data` without its leading axis; the problem has a `loss`."""
        return self._signed(at_least_float32(self.written("loss")(params, example)))

    def accuracy_on(self, params: PyTree, batch: PyTree) -> jax.Array:
        """Accuracy on a batch; the problem has one."""
        return self._in_tiles(functools.partial(self._accuracy, params), batch)

    def scores_on(self, params: PyTree, batch: PyTree) -> tuple[jax.Array, PyTree, jax.Array]:
        """Objective, its gradient, and accuracy on a batch, which have the outputs of the examples in common."""
        def of(batch: PyTree) -> tuple[jax.Array, PyTree, jax.Array]:
            loss, gradient = jax.value_and_grad(lambda params: self._signed(self._mean(params, batch)))(params)
            return loss, gradient, self._accuracy(params, batch)

        return self._in_tiles(of, batch)

    def _accuracy(self, params: PyTree, batch: PyTree) -> jax.Array:
        """Of all examples of a batch at once."""
        return at_least_float32(self.written("accuracy")(params, batch))

    def _in_tiles(self, function: Callable[[PyTree], Made], batch: PyTree) -> Made:
        """Means over a batch of what a function says are means over its argument; if the loss does not, at once."""
        return function(batch) if self.loss is None else tiles.means(function, batch, self.sizes.example_bytes)

    def written(self, field: str) -> Callable[..., jax.Array]:
        """`loss`, `batch_loss` or `accuracy` as it is computed: where it has windows, with these as slices."""
        function = getattr(self, field)
        assert function is not None, "a problem has a loss of examples or of batches, and batches only with data"

        def looked_at() -> bool:
            batch = self._example() if field == "loss" else self.like()
            return windows.has_windows(function, self.shapes, *() if batch is None else (batch,))

        return windows.sliced(function) if self.once(("windows", field), looked_at) else function

    @property
    def sizes(self) -> Sizes:
        """How large the arrays of loss and gradient become, and how much they compute; traced once.

        >>> gdjax.problems.get("digits-softmax").sizes.lane_example_bytes  # a float32 for each of 10 classes
        40
        """
        return self.once("sizes", self._sized)

    def _sized(self) -> Sizes:
        trace = functools.partial(sizes.of, self._mean, self.shapes, self._example())
        try:
            return trace()
        except Exception:  # it takes only some numbers of examples, all of them one: so it is not cut into tiles either
            return trace(self.examples)._replace(example_bytes=0)

    def _example(self) -> PyTree | None:
        """Shapes of one example, None without data."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), self.like())

    def _signed(self, value: jax.Array) -> jax.Array:
        return -value if self.maximise else value


def _examples_in_words(data: PyTree) -> str:
    """Shapes of one example."""
    leaves = [f"{jax.tree_util.keystr(path)} {leaf.shape[1:]}" for path, leaf in jax.tree.leaves_with_path(data)]
    return ", ".join(leaves).strip()


def _are_finite(numbers: object) -> bool:
    values = np.asarray(numbers)
    return values.dtype.kind in "fiu" and bool(np.isfinite(values).all())


def check_dtype(name: str, dtype: str | None) -> None:
    """Raise when a dtype is not one of float32 and float64, or is float64 while JAX would silently give float32."""
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"problem {name!r}: dtype: must be 'float32', 'float64' or None (got {dtype!r}). "
                         "None leaves JAX's default.")
    if dtype == "float64" and not jax.config.read("jax_enable_x64"):
        raise ValueError(f"problem {name!r}: dtype: float64 needs JAX's x64 mode, which is off (got 'float64'). "
                         "Call jax.config.update('jax_enable_x64', True) before the first array, or use float32.")
