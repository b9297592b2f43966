"""Optax optimizers, unmodified: each takes the path of a plain optax loop, with its rate a traced number."""

from __future__ import annotations

import functools
import inspect
import re
from types import FunctionType

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from tests.plain import descend

NAMES = [
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "fromage", "lamb", "lars", "lion",
    "nadam", "novograd", "optimistic_gradient_descent", "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "sm3",
    "yogi",
]
ALIASES = {name: getattr(optax, name) for name in NAMES} | {
    "heavy_ball": functools.partial(optax.sgd, momentum=0.9),
    "clipped_adam": lambda rate: optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate)),
    "decayed": lambda rate: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(rate, momentum=0.5, nesterov=True)),
    "averaged": lambda rate: optax.chain(optax.trace(0.5), optax.ema(0.9), optax.scale_by_learning_rate(rate)),
}
STEPS = 3
SEARCHING = {"backtracking", "line_search", "newton", "lbfgs", "polyak_sgd"}  # choose the length of a step themselves
# w ← (w − η…)/√(1 + η²); noise that the rate does not scale alone; no first step at all
CURVED = {"fromage", "noisy_sgd", "rprop"}


def valley(w: jax.Array) -> jax.Array:
    """Not convex and not separable, of a matrix: what tells optimizers apart."""
    return jnp.sum((w @ w - 1) ** 2) + jnp.sum(jnp.arange(1.0, 5.0).reshape(2, 2) * w**2)


def valley_start(key: jax.Array) -> jax.Array:
    return jax.random.normal(key, (2, 2))


VALLEY = gdjax.Problem(name="valley", loss=valley, init=valley_start)
FEW = gdjax.lanes.draw_starts(VALLEY, jax.random.key(8), 2)


def every_alias(rate: jax.Array) -> optax.GradientTransformation:
    """One transformation for a dict of valleys: each alias moves the valley of its own name, in one program for all."""
    return optax.partition({name: alias(rate) for name, alias in ALIASES.items()}, {name: name for name in ALIASES})


@pytest.fixture(scope="module")
def side_by_side() -> gdjax.Runs:
    """Two starts and two rates of all aliases."""
    together = gdjax.Problem(
        name="valleys", loss=lambda params: sum(valley(each) for each in params.values()),
        init=lambda key: {name: valley_start(key) for name in ALIASES})
    return gdjax.bgd(together, optimizer=every_alias, rates=[0.01, 0.1], starts={name: FEW for name in ALIASES}, key=0,
                     max_steps=STEPS, width=4)


@pytest.mark.parametrize("name", ALIASES)
def test_an_alias_takes_the_path_of_a_plain_optax_loop(name, side_by_side):
    ends = side_by_side.params[name]
    for lane, row in side_by_side.frame().iterrows():
        params, _ = descend(VALLEY, ALIASES[name](row.rate), FEW[row.start], STEPS)
        assert ends[lane] == pytest.approx(np.asarray(params), rel=1e-5, abs=1e-6)
    assert np.isfinite(ends).all() and len(np.unique(ends.reshape(4, -1), axis=0)) == 4, "rates and starts differ"


@pytest.mark.parametrize(("alias", "lanes"), [
    (optax.polyak_sgd, {0: (0.5, 0), 3: (1.0, 1)}), (optax.lbfgs, {3: (1.0, 1)}),  # a loop of seconds to compile
], ids=["polyak_sgd", "lbfgs"])
def test_an_alias_that_asks_for_the_loss_gets_it(alias, lanes):
    runs = gdjax.bgd(VALLEY, optimizer=alias, rates=[0.5, 1.0], starts=FEW, key=0, max_steps=STEPS, marks=3, width=4)
    assert runs.frame().optimizer.tolist() == [alias.__name__] * 4
    for lane, (rate, start) in lanes.items():
        params, losses = descend(VALLEY, alias(rate), FEW[start], STEPS, compiled=True)
        assert runs.curve[lane] == pytest.approx(losses[runs.marks], rel=1e-5)
        assert runs.params[lane] == pytest.approx(np.asarray(params), rel=1e-4, abs=1e-5)
    assert len(np.unique(runs.params.reshape(4, -1), axis=0)) > 2, "rates and starts differ"
    assert (runs.best_loss < runs.start_loss).all()


def sam(rate, **changed):
    """Sharpness-aware minimisation, whose update takes neither value nor value_fn."""
    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return optax.contrib.sam(optax.sgd(rate), adversary, sync_period=2, **changed)


def test_an_optimizer_that_takes_fewer_keywords_is_handed_those():
    runs = gdjax.bgd(VALLEY, optimizer=sam, rates=0.05, starts=FEW, key=0, max_steps=STEPS, width=2)
    slope = jax.grad(VALLEY.objective)
    for lane in range(2):
        made, params = sam(0.05), jnp.asarray(FEW[lane])
        state = made.init(params)
        for _ in range(STEPS):
            changes, state = made.update(slope(params, None), state, params)
            params = optax.apply_updates(params, changes)
        assert runs.params[lane] == pytest.approx(np.asarray(params), rel=1e-5, abs=1e-6)
    with pytest.raises(ValueError, match=r"cannot be traced by JAX \(got ValueError: grad_fn .* opaque_mode=False\."):
        gdjax.bgd(VALLEY, optimizer=functools.partial(sam, opaque_mode=True), rates=0.1, starts=FEW, key=0, max_steps=2)


def test_an_optimizer_may_keep_a_key_in_its_state():
    noisy = functools.partial(optax.noisy_sgd, eta=0.01, key=jax.random.key(3))
    runs = gdjax.bgd(VALLEY, optimizer=noisy, rates=0.05, starts=FEW, key=0, max_steps=STEPS, marks=3, width=2)
    for lane in range(2):
        _, losses = descend(VALLEY, noisy(0.05), FEW[lane], STEPS)
        assert runs.curve[lane] == pytest.approx(losses[runs.marks], rel=1e-5)


@pytest.mark.parametrize("name", [name for name in gdjax.optimizers.names() if name not in SEARCHING | CURVED])
def test_a_step_of_a_registered_optimizer_is_a_traced_rate_times_a_direction(name):
    optimizer = gdjax.optimizers.get(name)
    start = VALLEY.start(jax.random.key(0))

    def first_step(rate):
        made = gdjax.optimizers.make(optimizer, rate, {})
        return made.update(start, made.init(start), start, value=rate, grad=start, value_fn=valley)[0]

    step = jax.jit(first_step)
    once, twice = np.asarray(step(0.01)), np.asarray(step(0.02))
    assert twice == pytest.approx(2 * once, rel=1e-4, abs=1e-7)
    assert once.dtype == np.float32 and np.isfinite(once).all() and np.abs(once).max() > 0
    assert gdjax.optimizers.name_of(optimizer) == name


def test_every_alias_of_optax_is_there_by_its_name():
    functions = {name: each for name, each in vars(optax).items() if isinstance(each, FunctionType | functools.partial)}
    called = {name for name, thing in functions.items() if not name.startswith(("_", "scale_by"))
              and next(iter(inspect.signature(thing).parameters), "").endswith("learning_rate")}
    assert called - set(gdjax.optimizers.names()) == {"optimistic_adam"}, "which optax says is deprecated"
    assert len(called) >= 31


def test_momentum_and_nesterov_are_those_of_the_textbook():
    """v ← 0.9 v − η∇; x ← x + v. Nesterov steps on to where v points: x ← x + 0.9 v − η∇, with the new v."""
    rate, x, v, n, u = 0.1, 1.0, 0.0, 1.0, 0.0
    half_square = gdjax.problems.quadratic([1.0])
    for _ in range(5):
        v = 0.9 * v - rate * x
        x = x + v
        u = 0.9 * u - rate * n
        n = n + 0.9 * u - rate * n
    start = np.ones((1, 1), np.float32)
    for name, end in (("momentum", x), ("nesterov", n)):
        params, _ = descend(half_square, gdjax.optimizers.get(name)(rate), start[0], 5)
        assert np.asarray(params) == pytest.approx([end], rel=1e-6)


def test_names_and_what_is_no_optimizer():
    assert gdjax.optimizers.name_of(optax.lamb) == "lamb"
    assert gdjax.optimizers.name_of(optax.nadam) == "nadam"
    assert gdjax.optimizers.name_of(ALIASES["heavy_ball"]) == "sgd(momentum=0.9)"
    with pytest.raises(ValueError, match=r"unknown name \(got 'adm'\). Did you mean 'adam'\?"):
        gdjax.optimizers.get("adm")
    with pytest.raises(TypeError, match=r"optimizer: must be a name or a function .* Pass optax.sgd, not"):
        gdjax.optimizers.get(optax.sgd(0.1))


def test_a_name_with_numbers_is_the_optimizer_with_them():
    slow = gdjax.optimizers.get("momentum(momentum=0.5)")
    assert (slow.func, slow.keywords) == (optax.sgd, {"momentum": 0.5})
    assert gdjax.optimizers.name_of(slow) == "sgd(momentum=0.5)"
    assert gdjax.optimizers.get("sgd(nesterov=True, momentum=0.5)").keywords == {"momentum": 0.5, "nesterov": True}
    assert gdjax.optimizers.get("momentum(momentum=0.5)") is slow, "one program serves all calls"
    for text, said in (("adm(b1=0.5)", "unknown name (got 'adm'). Did you mean 'adam'?"),
                       ("adam(b11=0.5)", "optimizer: adam: unknown name (got 'b11'). Did you mean 'b1'?"),
                       ("adam(b1=high)", "optimizer: adam: b1: must be a number, True or False (got 'high')."),
                       ("backtracking(decrease=2)", "decrease: must be inside (0, 1) (got 2)"),
                       ("adam(0.5)", "optimizer: must be a name, or a name with numbers, each by its name")):
        with pytest.raises(ValueError, match=re.escape(said)):
            gdjax.optimizers.get(text)


def test_an_optimizer_of_ones_own_registers_itself(monkeypatch):
    monkeypatch.setattr("gdjax.optimizers.OPTIMIZERS", dict(gdjax.optimizers.OPTIMIZERS))
    register = gdjax.optimizers.register

    @register
    def halved(rate, share=0.5, *, nesterov=False):
        return optax.sgd(share * rate, nesterov=nesterov)

    assert gdjax.optimizers.names()[-1] == "halved" == gdjax.optimizers.name_of(halved)
    assert gdjax.optimizers.get("halved") is halved and halved.__name__ == "halved"
    with pytest.raises(ValueError, match=r"optimizers: name is taken \(got 'halved'\). Choose another; taken: sgd, "):
        register(halved)

    def without_default(rate, share):
        return optax.sgd(share * rate)

    def without_rate(*, rate=0.1):
        return optax.sgd(rate)

    with pytest.raises(ValueError, match=r"every argument but the rate needs a default \(got none for share\)"):
        register(without_default)
    with pytest.raises(ValueError, match=r"without_rate: its first argument must be the rate \(got \(\*, rate=0.1\)\)"):
        register(without_rate)
    for value in (3, "adam", optax.sgd(0.1), functools.partial(optax.sgd, momentum=0.5), lambda rate: optax.sgd(rate)):
        with pytest.raises(TypeError, match=r"optimizers: must be a function with a name .* Write it with def"):
            register(value)
    assert gdjax.optimizers.names()[-1] == "halved"
