"""gdjax: gradient descent over many starts at once, on JAX, measured so that it can be believed."""

from gdjax import data, goals, lanes, lapack, minima, optimizers, problems, sampling, schedules, stopping
from gdjax.compiling import compile
from gdjax.descent import bgd, minibatch, range_test, sgd
from gdjax.engine.cost import Cost
from gdjax.engine.program import Program, Stepper
from gdjax.engine.streamed import Streamed
from gdjax.gap import initial_loss, targets
from gdjax.gradients import check_gradient, numerical_gradient
from gdjax.lanes import Setting
from gdjax.problem import Problem
from gdjax.reading import Stream
from gdjax.runs import Runs
from gdjax.tracing import check_schedules, preflight

__all__ = [
    "Cost", "Problem", "Program", "Runs", "Setting", "Stepper", "Stream", "Streamed", "bgd", "check_gradient",
    "check_schedules", "compile", "data", "goals", "initial_loss", "lanes", "lapack", "minibatch", "minima",
    "numerical_gradient", "optimizers", "preflight", "problems", "range_test", "sampling", "schedules", "sgd",
    "stopping", "targets",
]
