"""The kinds of value that fields of a suite take, each checked by itself."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, ValidationInfo
from pydantic_core import PydanticCustomError

from bench.bad_input import show

AXIS_LIMIT = 1_000  # entries of one axis
NAME_LIMIT = 200  # characters of one name
ALL = "all"  # devices: those there are
Item = TypeVar("Item")
Sampling = str | dict[str, int]  # a rule of `gdjax.minibatch`, or the numbers of a `gdjax.Stream`
SAMPLINGS = ("shuffle", "replacement", "stream")


def _bad(what: str, todo: str) -> PydanticCustomError:
    return PydanticCustomError("suite", "bad value", {"what": what, "todo": todo})


def _name(value: str) -> str:
    if not value.strip() or len(value) > NAME_LIMIT or not value.isprintable():
        raise _bad(f"must be 1 to {NAME_LIMIT} printable characters", "Give a short name.")
    return value


def _batch_size(value: object) -> int | str:
    if isinstance(value, str) and value == "all":
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10**9:
        return value
    raise _bad('must be a whole number of examples from 1 on, or "all"', 'Use for example 32, or "all" for BGD.')


def _devices(value: object) -> int | str:
    if isinstance(value, str) and value == ALL:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000:
        return value
    raise _bad('must be a whole number from 1 to 10000, or "all"', 'Use for example 4, or "all" for those there are.')


def _sampling(value: object) -> Sampling:
    if isinstance(value, str) and value in SAMPLINGS:
        return value
    if isinstance(value, dict) and value and set(value) <= {"buffer", "block"} and all(
            isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 10**12
            for number in value.values()):
        return value
    raise _bad('must be "shuffle", "replacement", "stream", or a table of buffer and block, in examples from 1 on',
               "Use for example sampling = { buffer = 100_000, block = 64 } for data larger than memory.")


def _all(value: object) -> str:
    if value == "all":
        return "all"
    raise _bad('must be "all" or a list of names', 'Use claims = "all", or claims = ["NAME", ...].')


def _axis(values: list[Item], info: ValidationInfo) -> list[Item]:
    if not values:
        raise _bad("must not be empty", "Give at least one entry.")
    if len(values) > AXIS_LIMIT:
        raise _bad(f"must have at most {AXIS_LIMIT} entries", "Split the suite.")
    kept = list(dict.fromkeys(values))
    if len(kept) < len(values) and isinstance(info.context, list):
        twice = [show(value) for value in kept if values.count(value) > 1]
        info.context.append(f"{info.field_name}: duplicates removed (got {', '.join(twice[:5])} more than once).")
    return kept


Name = Annotated[str, AfterValidator(_name)]
BatchSize = Annotated[int | str, PlainValidator(_batch_size)]
Devices = Annotated[int | str, PlainValidator(_devices)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Gap = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Loss = Annotated[float, Field(allow_inf_nan=False)]
Names = Annotated[list[Name], AfterValidator(_axis)]
BatchSizes = Annotated[list[BatchSize], AfterValidator(_axis)]
Shares = Annotated[list[Share], AfterValidator(_axis)]
Gaps = Annotated[list[Gap], AfterValidator(_axis)]
Targets = Annotated[list[Loss], AfterValidator(_axis)]
RateGrid = Annotated[list[Annotated[float, Field(ge=1e-30, le=1e12, allow_inf_nan=False)]], AfterValidator(_axis)]
TargetOn = Literal["loss", "held_out_loss", "error"]
SamplingRule = Annotated[Sampling, PlainValidator(_sampling)]
RateCount = Annotated[int, Field(ge=1, le=AXIS_LIMIT)]
Rates = Annotated[
    Annotated[RateCount, Tag("<count>")] | Annotated[RateGrid, Tag("<grid>")],
    Discriminator(lambda value: "<grid>" if isinstance(value, list) else "<count>"),
]
Claims = Annotated[
    Annotated[str, PlainValidator(_all), Tag("<all>")] | Annotated[Names, Tag("<names>")],
    Discriminator(lambda value: "<names>" if isinstance(value, list) else "<all>"),
]
