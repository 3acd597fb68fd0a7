"""What SDKs receive of a rollout."""

from dataclasses import replace

import pytest

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.model import InCohort, Reach, RolloutState
from rollout_server.domain.journal import State
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Entered
from rollout_server.domain.resources import Kind, Resource, RolloutStatus
from rollout_server.domain.rollout_states import rollout_state_of, rollout_states
from rollout_server.domain.rollouts import PipelineSpec, Stage
from tests.small_rollouts import STATE, id_of, rollout
from tests.small_state import applied, flag_document

STAGES = (Stage("staff", 1_000_000, InCohort("staff")), Stage("all", 250_000))
RUN = Run(
    "launch",
    "checkout",
    "off",
    "on",
    3,
    PipelineSpec(STAGES, strata=("tenant",)),
    phase=Phase.RUNNING,
    entered=(Entered(0, 1, 1_000_000), Entered(1, 2, 100_000)),
    allocation=5,
)


def state_of(run: Run | None, state: State = STATE) -> RolloutState:
    resource = state.resources[id_of(Kind.ROLLOUT, "launch")]
    assert isinstance(resource.status, RolloutStatus)
    return rollout_state_of(replace(resource, status=replace(resource.status, run=run)), state.resources)


def test_a_rollout_that_never_started_exposes_nobody() -> None:
    """Its rule may be asked all the same."""
    assert state_of(None) == RolloutState("launch", "checkout", 0, "off", "on", salt16("launch"))
    assert [state.rollout for state in rollout_states(STATE.resources)] == ["launch"]


def test_a_run_reaches_whom_its_stages_reach() -> None:
    """Each entered stage with the share it has come to, from the run's own copy of the pipeline."""
    made = state_of(RUN)
    assert made.reaches == (Reach("staff", 1_000_000, InCohort("staff")), Reach("all", 100_000))
    assert (made.run, made.allocation, made.stage, made.strata) == (3, 5, "all", ("tenant",))


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.CANCELLED, Phase.SCHEDULED])
def test_a_run_that_is_over_or_not_begun_reaches_nobody(phase: Phase) -> None:
    """Everybody gets `from`."""
    made = state_of(replace(RUN, phase=phase))
    assert (made.reaches, made.stage, made.run) == ((), "", 3)


def test_units_are_those_of_the_flag() -> None:
    """A flag that buckets tenants is moved tenant by tenant; a flag that is not there buckets users."""
    tenants = applied(STATE, flag_document("checkout", {"id": "launch", "rollout": "launch"}, unit="tenant"))
    assert state_of(None, tenants).unit == "tenant"
    resource = STATE.resources[id_of(Kind.ROLLOUT, "launch")]
    assert rollout_state_of(resource, {}).unit == "user"


def test_a_run_between_other_variants_says_nothing_of_these() -> None:
    """Whoever turns a completed rollout to the next variant exposes nobody before the next start."""
    blue = {"variants": {"on": True, "off": False, "blue": True}}
    flag = flag_document("checkout", {"id": "launch", "rollout": "launch"}, **blue)
    state = applied(STATE, flag, rollout(**{"from": "on", "to": "blue"}))
    made = state_of(replace(RUN, phase=Phase.COMPLETED), state)
    assert (made.from_variant, made.to_variant, made.reaches) == ("on", "blue", ())


def test_only_rollouts_of_a_state_have_one() -> None:
    """Anything else is a bug of the caller."""
    document: Resource = rollout()
    with pytest.raises(TypeError, match="rollout/launch is no rollout with a status"):
        rollout_state_of(document, {})
