"""What people leave out of a pipeline is the careful choice."""

from __future__ import annotations

from rollout_server.domain.rollouts import Exit, Finish, PipelineSpec, Stage


def test_a_stage_that_says_little_asks_little_and_hides_nothing() -> None:
    """Nothing is approved, judged or ramped unless it is written; everyone is the audience; all units finish."""
    stage = Stage("canary", 10_000)
    assert (stage.audience, stage.ramp_ms, stage.soak_ms, stage.exit) == (None, 0, 0, Exit())
    assert PipelineSpec((stage,)).finish == Finish(1_000_000, 0)
    assert Exit() == Exit(exposed=0, is_healthy=False, approval=None)
