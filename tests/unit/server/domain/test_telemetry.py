"""Words of telemetry."""

from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.domain import telemetry as module
from rollout_server.domain.telemetry import RECOMPUTED, Intake, bound_after, is_kept, stratum_of


def test_strata_of_bare_records_have_names_of_their_own() -> None:
    """With and without a stratum."""
    assert stratum_of("c=KR", recomputed=False) == "c=KR"
    assert stratum_of("c=KR", recomputed=True) == f"c=KR {RECOMPUTED}"
    assert stratum_of("", recomputed=True) == RECOMPUTED


def test_a_sample_halves_when_it_is_more_than_full() -> None:
    """And never to nothing."""
    assert bound_after(module.UNITS_MAX, EVERYTHING) == EVERYTHING
    assert bound_after(module.UNITS_MAX + 1, EVERYTHING) == EVERYTHING // 2
    assert bound_after(module.UNITS_MAX + 1, 1) == 1


def test_everything_keeps_everything() -> None:
    """The highest hash included."""
    assert is_kept(EVERYTHING - 1, EVERYTHING)
    assert not is_kept(5, 5)


def test_an_intake_may_say_nothing() -> None:
    """Its process lives."""
    assert Intake("t/i", 1, 0).events == ()
