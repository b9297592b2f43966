"""What a lane-step takes: bytes by hand, operations against the products of the model, and a stepper that steps."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import gdjax

CONSTANT = gdjax.Setting(gdjax.schedules.constant(), 1e-9)


@pytest.fixture(scope="module")
def line():
    """line-fit: two float32 parameters, 100 examples of two float32 numbers."""
    return gdjax.problems.get("line-fit")


def test_bytes_are_parameters_twice_and_the_batch_once(line):
    """Parameters are read and written, 2·2·4 bytes; ten examples of 8 bytes are a lane's own, or shared by 16 lanes."""
    own = gdjax.compile(line, batch_size=10, width=16).cost()
    shared = gdjax.compile(line, batch_size=10, width=16, settings=16).cost()
    assert own.bytes == 16 + 80
    assert shared.bytes == 16 + 80 / 16
    assert shared.flops < own.flops, "a shared batch is drawn once"


def test_all_lanes_read_a_full_batch_once(line):
    """100 examples of 8 bytes, by all 16 lanes together."""
    assert gdjax.compile(line, batch_size=100, width=16).cost().bytes == 16 + 800 / 16


def test_the_optimizer_state_counts():
    """Adam keeps two moments a parameter and one int32 count: (2 + 4)·4 + 4 bytes, read and written."""
    program = gdjax.compile(gdjax.problems.get("bowl"), batch_size=1, width=16, optimizer="adam")
    assert program.cost().bytes == 2 * (2 * 4 + 2 * 2 * 4 + 4)


def test_operations_are_those_of_the_two_products():
    """Softmax regression multiplies n×d by d×K for the loss and again for the gradient: 4·n·d·K, and little beside."""
    problem = gdjax.problems.get("digits-softmax")
    flops = gdjax.compile(problem, batch_size=1797, width=1).cost().flops
    products = 4 * 1797 * 64 * 10
    assert products < flops < 1.1 * products


def test_memory_grows_with_the_lanes(line):
    """Parameters wait in the queue, step in the slots and end in the table: three times 8 bytes a lane at least."""
    few, many = (gdjax.compile(line, batch_size=10, width=width).memory_bytes for width in (16, 64))
    assert many - few >= 48 * 3 * 8


def test_a_stepper_steps_every_lane_so_often_as_it_is_told(line):
    """Starts need not be scored for that: every lane ends by its budget, and has moved."""
    run = gdjax.compile(line, batch_size=10, width=16).stepper([CONSTANT], key=1)
    end = jax.block_until_ready(run(70))
    assert np.asarray(end.steps).tolist() == [[70]] * 16
    assert (np.asarray(end.status) == gdjax.stopping.BUDGET).all()
    assert np.asarray(run(0).steps).tolist() == [[0]] * 16
