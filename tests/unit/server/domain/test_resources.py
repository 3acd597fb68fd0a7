"""Resources: what names them, and the status they begin with."""

from dataclasses import replace

from rollout_sdk.engine.bucketing import salt16
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.resources import (
    PLANNED,
    CohortStatus,
    FlagStatus,
    Kind,
    Metadata,
    NoStatus,
    Resource,
    RolloutStatus,
    TokenSpec,
    TokenStatus,
    first_status,
)
from rollout_server.domain.rollouts import PipelineSpec
from tests.small_rollouts import FLAG, POLICY, STAFF, pipeline, rollout


def test_people_write_everything_but_tokens_and_changes() -> None:
    """In the order in which kinds are listed everywhere; what only verbs write comes last."""
    assert (*PLANNED, Kind.TOKEN, Kind.CHANGE) == tuple(Kind)
    assert str(pipeline().id) == "pipeline/careful"


def test_salts_are_settled_at_creation() -> None:
    """Given or made from the key; the other kinds begin with nothing."""
    assert first_status(FLAG) == FlagStatus(salt16("checkout"))
    assert first_status(rollout()) == RolloutStatus(salt16("launch"))
    assert first_status(rollout(salt="imported-salt-01")) == RolloutStatus("imported-salt-01")
    assert (first_status(STAFF), first_status(POLICY), first_status(pipeline())) == (
        CohortStatus(),
        NoStatus(),
        NoStatus(),
    )
    token = Resource(Kind.TOKEN, Metadata("t"), TokenSpec("h", "viewer", "mia", 0, 0))
    assert first_status(token) == TokenStatus()


def test_a_rollouts_status_says_where_its_last_run_is() -> None:
    """Going on, completed, or neither."""
    none = RolloutStatus("s" * 16)
    assert (none.runs, none.phase, none.is_active, none.is_completed) == (0, None, False, False)
    run = Run("launch", "checkout", "off", "on", 2, PipelineSpec(()), phase=Phase.PAUSED)
    paused = replace(none, run=run)
    assert (paused.runs, paused.phase, paused.is_active, paused.is_completed) == (2, Phase.PAUSED, True, False)
    done = replace(none, run=replace(run, phase=Phase.COMPLETED))
    assert (done.is_active, done.is_completed) == (False, True)
