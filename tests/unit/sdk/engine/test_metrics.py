"""What processes know of metrics, in the words of the catalogue."""

from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_server.domain.guardrails import spec


def test_the_words_are_those_of_the_catalogue() -> None:
    """A metric's spec and its declaration name the same things."""
    assert [each.value for each in Measures] == [each.value for each in spec.Measures]
    assert [each.value for each in Per] == [each.value for each in spec.Per]


def test_units_are_the_default() -> None:
    """They are exact where they fit."""
    assert MetricDeclaration("orders", Measures.PROPORTION).per is Per.UNIT
