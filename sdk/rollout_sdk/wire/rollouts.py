"""Where a rollout stands, between its message and the model.

A state that exposes nobody is always readable: what this release does not know of it does not matter. So a rollback
acts on a reader that could read nothing else of the rollout.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import DEFAULT_UNIT, LAW_1, PPM, Reach, RolloutState
from rollout_sdk.wire.condition_tree import ConditionReader, write_condition
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import ruleset_pb2

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition


def write_rollout(state: RolloutState) -> ruleset_pb2.RolloutState:
    """Return the message of a rollout's state."""
    return ruleset_pb2.RolloutState(
        rollout=state.rollout,
        flag=state.flag,
        run=state.run,
        from_variant=state.from_variant,
        to_variant=state.to_variant,
        unit=state.unit,
        salt=state.salt,
        law=state.law,
        reaches=[
            ruleset_pb2.Reach(
                audience=None if reach.audience is None else write_condition(reach.audience),
                share_ppm=reach.share_ppm,
                stage=reach.stage,
            )
            for reach in state.reaches
        ],
        never=[write_condition(condition) for condition in state.never],
        allocation=state.allocation,
        stage=state.stage,
        strata=state.strata,
    )


def read_rollout(message: ruleset_pb2.RolloutState) -> RolloutState:
    """Return the model of a rollout's state; where nobody is exposed, a `never` that cannot be read is left out.

    Raises:
        WireError: it exposes somebody, and this release cannot tell exactly whom.
    """
    state = RolloutState(
        rollout=message.rollout,
        flag=message.flag,
        run=message.run,
        from_variant=message.from_variant,
        to_variant=message.to_variant,
        salt=message.salt,
        unit=message.unit or DEFAULT_UNIT,
        law=message.law,
        allocation=message.allocation,
        stage=message.stage,
        strata=tuple(message.strata),
    )
    if not message.reaches:
        with suppress(WireError):
            return replace(state, never=_read_never(message))
        return state
    for name in ("flag", "from_variant", "to_variant"):
        if not getattr(state, name):
            raise WireError(f"{name} is blank")
    if state.law != LAW_1:
        raise WireError(f"bucketing law {state.law} is unknown to this release")
    if len(state.salt) != limits.SALT_CHARS or not state.salt.isascii():
        raise WireError(f"the salt has {len(state.salt)} characters, not {limits.SALT_CHARS} of ASCII")
    _bound("reaches", len(message.reaches), limits.STAGES_PER_PIPELINE)
    conditions = ConditionReader()
    reaches = tuple(_read_reach(reach, conditions, f"reaches[{at}]") for at, reach in enumerate(message.reaches))
    return replace(state, reaches=reaches, never=_read_never(message))


def _bound(what: str, count: int, maker_max: int) -> None:
    if count > limits.READERS_FACTOR * maker_max:
        raise WireError(f"{count} {what}, at most {limits.READERS_FACTOR * maker_max} are read")


def _read_never(message: ruleset_pb2.RolloutState) -> tuple[Condition, ...]:
    _bound("never", len(message.never), limits.NEVER_PER_FLAG)
    conditions = ConditionReader()
    return tuple(conditions.read(each, f"never[{at}]") for at, each in enumerate(message.never))


def _read_reach(message: ruleset_pb2.Reach, conditions: ConditionReader, path: str) -> Reach:
    if message.share_ppm > PPM:
        raise WireError(f"{path}: a share of {message.share_ppm} ppm, at most {PPM}")
    audience = conditions.read(message.audience, f"{path}.audience") if message.HasField("audience") else None
    return Reach(message.stage, message.share_ppm, audience)
