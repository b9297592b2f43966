"""Bad arguments of the front doors, by the rows of the list of bad input: the field, what came, what to do instead."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import arguments, schedules
from gdjax.names import COLUMNS
from tests.refusals import BOWL, batches, bowl, refused


@pytest.mark.parametrize(
    ("size", "error"),
    [(0, ValueError), (-4, ValueError), (101, ValueError), (2.5, TypeError), (10.0, TypeError), (True, TypeError),
     ("10", TypeError), (None, TypeError)],
)
def test_row_01_batch_sizes(size, error):
    with refused(error, "batch_size: must be a whole number from 1 to 100, the examples of problem 'line-fit'",
                 f"(got {size!r})", "Use gdjax.bgd"):
        batches(batch_size=size)


@pytest.mark.parametrize(
    ("changed", "error", "parts"),
    [
        ({"starts": 0}, ValueError, ("starts: must be at least 1", "(got 0)", "number of starts")),
        ({"starts": -3}, ValueError, ("starts: must be at least 1", "(got -3)")),
        ({"starts": 2.0}, TypeError, ("starts: must be a whole number", "(got 2.0)", "Use an int")),
        ({"starts": True}, TypeError, ("starts: ", "(got True)")),
        ({"max_steps": 0}, ValueError, ("max_steps: must be at least 1", "(got 0)")),
        ({"max_steps": 1.5}, TypeError, ("max_steps: must be a whole number of steps", "(got 1.5)", "Give an int")),
        ({"max_steps": 2**31}, ValueError, ("max_steps: must be below 2**31 - 1", f"(got {2**31})")),
        ({"max_steps": None}, ValueError, ("max_epochs, max_steps: at least one is required", "(got neither)")),
        ({"max_steps": None, "max_epochs": 0}, ValueError, ("max_epochs: must be above 0", "(got 0)")),
        ({"max_steps": None, "max_epochs": -1.5}, ValueError, ("max_epochs: must be above 0", "(got -1.5)")),
        ({"max_steps": None, "max_epochs": math.inf}, ValueError, ("max_epochs: must be above 0", "(got inf)")),
        ({"max_epochs": "10"}, TypeError, ("max_epochs: must be a number of epochs", "(got '10')", "Use for")),
        ({"rates": []}, ValueError, ("rates: must not be empty", "(got [])", "Give at least one")),
        ({"rates": np.array([])}, ValueError, ("rates: must not be empty",)),
        ({"schedules": []}, ValueError, ("schedules: must not be empty", "(got [])")),
        ({"rates": None, "settings": []}, ValueError, ("settings: at least one is needed", "(got none)")),
        ({"marks": 0}, ValueError, ("marks: must be at least 1", "(got 0)")),
        ({"width": 0}, ValueError, ("width: must be at least 1", "(got 0)", "number of lanes")),
    ],
)
def test_row_02_counts_and_grids(changed, error, parts):
    with refused(error, *parts):
        batches(**changed)


def test_row_02_duplicates_are_removed_with_a_note():
    with pytest.warns(UserWarning, match="rates, schedules, hyper: 4 duplicate settings dropped"):
        runs = bowl(rates=[0.1, 0.2, 0.1], schedules=["constant", schedules.constant()])
    assert runs.rates == (0.1, 0.2)
    assert len(runs.frame()) == 4


def test_row_02_duplicate_targets_are_removed_with_a_note():
    with pytest.warns(UserWarning, match="targets: 2 duplicates dropped"):
        assert arguments.targets([0.1, 1.0, 0.1, 0.1]) == (1.0, 0.1)


@pytest.mark.parametrize(("given", "error", "parts"), [
    ((["linaer"], 10, 1.0), ValueError, ("schedules: unknown name (got 'linaer')", "'linear'")),
    (([3], 10, 1.0), TypeError, ("schedules: must be names or schedules (got 3)",)),
    ((["linear"], "a", 1.0), TypeError, ("max_steps: must be a whole number of steps (got 'a')", "Give an int")),
    ((["linear"], 10, 0.0), ValueError, ("steps_per_epoch: must be above 0 and finite (got 0.0)", "batch size")),
    ((["linear"], 10, "a"), ValueError, ("steps_per_epoch: must be above 0 and finite (got 'a')",)),
])
def test_row_07_what_is_no_schedule_or_budget_to_look_at(given, error, parts):
    with refused(error, *parts):
        gdjax.check_schedules(*given)
    gdjax.check_schedules(["linear", schedules.cosine()], 10, 1.0)


def test_row_03_a_batch_size_that_does_not_divide_is_fine_and_says_how():
    assert "every example is still used exactly once an epoch" in " ".join(gdjax.minibatch.__doc__.split())
    runs = batches(batch_size=7, max_steps=None, max_epochs=1.0)
    assert runs.max_steps == 15, "100 examples in batches of 7, rounded up"


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: gdjax.problems.get("rosenbrok"), ("problem: unknown", "'rosenbrok'", "'rosenbrock'", "Known: ackley")),
        (lambda: bowl(schedules="cosin"), ("schedules: unknown name", "'cosin'", "'cosine'", "Known: constant, exp")),
        (lambda: bowl(optimizer="adem"), ("optimizer: unknown name", "'adem'", "'adam'", "Known: sgd, momentum")),
        (lambda: batches(sampling="shufle"), ("sampling: unknown name", "'shuffle'", "Known: shuffle, replacement")),
        (lambda: batches(batches="perstart"), ("batches: unknown name", "'per-start'", "Known: per-start, indep")),
        (lambda: batches(schedules="x" * 999), ("schedules: unknown name", "(got '" + "x" * 100 + "')", "Known: ")),
    ],
)
def test_row_06_unknown_names(call, parts):
    with refused(ValueError, *parts):
        call()


def test_row_06_things_of_the_wrong_kind():
    with refused(TypeError, "problem: must be a gdjax.Problem", "(got 'bowl')", "gdjax.problems.get"):
        bowl(problem="bowl")
    with refused(TypeError, "schedules: must be", "(got 3)", "gdjax.schedules.custom"):
        bowl(schedules=[3])
    with refused(TypeError, "optimizer: must be a name or a function", "Pass optax.sgd, not optax.sgd(0.1)"):
        bowl(optimizer=optax.sgd(0.1))
    with refused(TypeError, "optimizer: must map a rate to an optax transformation", "Pass optax.sgd"):
        bowl(optimizer=lambda rate: rate)
    with refused(ValueError, "optimizer 'broken'", "ZeroDivisionError"):
        def broken(rate):
            return 1 / 0

        bowl(optimizer=broken)
    with refused(TypeError, "settings: each must be a gdjax.Setting", "(got ('cosine', 0.1))"):
        bowl(rates=None, settings=[("cosine", 0.1)])
    with refused(ValueError, "settings: give either", "(got both)"):
        bowl(settings=[gdjax.Setting(schedules.cosine(), 0.1)])
    with refused(ValueError, "problem 'bowl': has no data", "(got data=None)", "Use gdjax.bgd"):
        gdjax.sgd(BOWL, rates=0.1, starts=2, key=0, max_steps=5)


@pytest.mark.parametrize(
    ("formula", "parts"),
    [
        (lambda t: jnp.where(t > 0.5, jnp.nan, 1.0), ("mine: factors must be finite", "(got nan at step 51)")),
        (lambda t: 1 / (0.95 - jnp.minimum(t, 0.95)), ("mine: factors must be finite", "(got inf at step 95)")),
        (lambda t: 1 - 2 * t, ("mine: factors must be finite and not negative over the budget of 100 steps",
                               "(got -0.02 at step 51)", "Change its numbers")),
        (lambda t: jnp.ones(3) * t, ("mine: must give one real factor", "(got float32[3])", "Return a float scalar")),
        (lambda t: None, ("mine: must give one real factor", "(got None)")),
        (lambda t: t * 1j, ("mine: must give one real factor", "(got complex64[])")),
        (lambda t: 1.0 if t > 0.5 else 0.5, ("mine: cannot be traced by JAX", "(got TracerBoolConversionError")),
    ],
)
def test_row_07_schedules(formula, parts):
    with refused(ValueError, "schedules: ", *parts):
        bowl(schedules=schedules.custom(formula, name="mine"), max_steps=100)


@pytest.mark.parametrize("rate", [0.0, -0.1, math.nan, math.inf, [0.1, -0.1], np.array([0.1, np.nan])])
def test_row_07_rates_out_of_range(rate):
    with refused(ValueError, "rates: must be above 0 and finite", "(got ", "A schedule multiplies"):
        bowl(rates=rate)


@pytest.mark.parametrize("rate", ["0.1", True, [None], {"rate": 0.1}, [[0.1, 0.2]]])
def test_row_07_rates_of_the_wrong_kind(rate):
    with refused(TypeError, "rates: must be", "(got "):
        bowl(rates=rate)


def test_row_10_a_rate_that_diverges_is_a_miss_and_the_rest_goes_on():
    runs = bowl(rates=[0.1, 30.0], targets=[1e-3], max_steps=60)
    frame = runs.frame()
    assert frame.status.tolist() == ["budget", "diverged"] * 2
    # a step multiplies x by 1 − 2·30 = −59, the loss by 3481: from 16 to beyond 1e6·f₀ takes 2 or 3
    assert set(frame.steps[[1, 3]]) <= {1, 2, 3, 4}
    assert runs.hits().hit.tolist() == [True, False, True, False]


def test_row_11_targets_below_the_optimum_and_met_at_the_start():
    runs = bowl(targets=[-1.0, 1e6], stop_at_target=True)
    assert set(runs.frame().status) == {"budget"}
    hits = runs.hits()
    assert hits[hits.target == 1e6].steps.tolist() == [0.0, 0.0]
    assert not hits[hits.target == -1.0].hit.any()


@pytest.mark.parametrize(
    ("changed", "error", "parts"),
    [
        ({"targets": [0.1, math.nan]}, ValueError, ("targets: must be finite losses", "(got nan)", "gdjax.targets")),
        ({"targets": [math.inf]}, ValueError, ("targets: must be finite losses", "(got inf)")),
        ({"targets": "0.1"}, TypeError, ("targets: ", "(got '0.1')")),
        ({"targets": None}, TypeError, ("targets: ", "(got None)")),
        ({"targets": [None]}, ValueError, ("targets: ", "(got None)")),
        ({"tolerance": -1e-3}, ValueError, ("tolerance: must be a number of at least 0", "(got -0.001)")),
        ({"tolerance": math.nan}, ValueError, ("tolerance: ", "(got nan)")),
        ({"stop_at_target": True}, ValueError, ("stop_at_target: needs targets", "(got none)", "Give targets")),
        ({"stall": -1.0}, ValueError, ("stall: must be a number of at least 0", "(got -1.0)")),
        ({"stall": 0.1, "batch_size": 100, "optimizer": gdjax.optimizers.averaged(optax.sgd)}, ValueError,
         ("stall: not where iterates are averaged", "(got 'sgd, averaged')")),
        ({"stall": 0.1}, ValueError, ("stall: only for full batches", "(got batch size 10 of 100, constant)")),
        ({"rates": None, "targets": [math.nan]}, ValueError, ("targets: ", "(got nan)")),  # also before a range test
    ],
)
def test_row_11_targets_and_tolerances(changed, error, parts):
    with refused(error, *parts):
        batches(**changed)


@pytest.mark.parametrize(
    ("key", "error"),
    [(-1, ValueError), (2**32, ValueError), (2**40, ValueError), (1.0, TypeError), (True, TypeError), ("0", TypeError),
     (None, TypeError), (np.array([0, 1], np.uint32), TypeError)],
)
def test_row_12_seeds(key, error):
    with refused(error, "key: must be ", f"(got {key!r})"):
        bowl(key=key)


def test_row_12_several_keys_are_not_one():
    with refused(TypeError, "key: must be a whole number or one JAX key", "jax.random.key(0)"):
        bowl(key=jax.random.split(jax.random.key(0)))


@pytest.mark.parametrize("name", ["start", "steps", "rate", "final_loss", "accuracy"])
def test_a_number_with_the_name_of_a_column_is_refused(name: str) -> None:
    """It would take the column's place."""
    scope: dict = {"optax": optax}
    exec(f"def made(learning, {name}=1.0): return optax.sgd(learning * {name})", scope)
    with refused(ValueError, f"hyper: {name}: would have the name of a column"):
        bowl(optimizer=scope["made"], hyper={name: [1.0, 2.0]})


def test_the_columns_that_are_known_are_those_of_a_frame() -> None:
    digits = gdjax.problems.get("digits-held-out")
    frame = gdjax.bgd(digits, rates=0.1, starts=1, key=0, max_steps=1).frame()
    assert tuple(frame) == COLUMNS


def test_settings_go_with_no_schedules() -> None:
    with refused(ValueError, "settings: give either settings or rates, schedules and hyper (got both)"):
        bowl(rates=None, schedules="linear", settings=[gdjax.Setting("constant", 0.1)])


@pytest.mark.parametrize(("epochs", "size", "steps"), [(1.1, 1, 110), (1.1, 10, 11), (0.7, 10, 7), (1.05, 10, 11),
                                                        (1e-9, 10, 1)])
def test_a_budget_in_epochs_is_not_a_step_longer_by_rounding(epochs: float, size: int, steps: int) -> None:
    problem = gdjax.Problem(name="hundred", loss=lambda w, e: (w - e) ** 2, init=lambda key: jnp.zeros(()),
                            data=np.arange(100.0))
    assert gdjax.arguments.budget(problem, size, epochs, None) == steps
