"""Decisions and standing as metrics, through the real prometheus-client."""

from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from rollout_sdk import Client, Context, prometheus
from rollout_sdk.confirmation import Confirmation
from rollout_sdk.engine.model import Ruleset
from rollout_sdk.prometheus import OTHER, SERIES_MAX, UNKNOWN_MAX, export
from rollout_sdk.testing import RulesetClient, Server, fixed
from tests.small_rules import boolean, position

USER = Context("u-1")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def decisions(registry: CollectorRegistry, flag: str, variant: str, reason: str) -> float | None:
    labels = {"flag": flag, "variant": variant, "reason": reason}
    return registry.get_sample_value("rollout_sdk_decisions_total", labels)


def test_decisions_are_counted_by_flag_variant_and_reason(registry: CollectorRegistry) -> None:
    """A default has no variant."""
    client = fixed({"a": True, "n": 3})
    end = export(client, registry)
    for _ in range(3):
        client.enabled("a", USER)
    client.integer("a", USER)
    client.kill("n")
    client.integer("n", USER)
    client.string("gone", USER)
    assert decisions(registry, "a", "on", "default") == 3
    assert decisions(registry, "a", "", "wrong_type") == 1
    assert decisions(registry, "n", "off", "killed") == 1
    assert decisions(registry, "gone", "", "unknown_flag") == 1
    end()
    client.enabled("a", USER)
    assert generate_latest(registry) == b""


def test_the_standing_is_read_when_it_is_scraped(registry: CollectorRegistry) -> None:
    """And its age only where somebody has confirmed the rules."""
    client = fixed({"a": True})
    export(client, registry)
    value = registry.get_sample_value
    assert (value("rollout_sdk_ready"), value("rollout_sdk_connected"), value("rollout_sdk_stale")) == (1, 0, 0)
    before = value("rollout_sdk_revision")
    assert before is not None
    client.set({"a": False})
    assert value("rollout_sdk_revision") == before + 1
    assert value("rollout_sdk_quarantined_flags") == 0
    assert value("rollout_sdk_staleness_seconds") is None
    client._runtime.expire()
    assert value("rollout_sdk_stale") == 1


def test_a_client_of_a_server_shows_how_long_ago_it_was_confirmed(registry: CollectorRegistry) -> None:
    """In seconds, as Prometheus wants them."""
    with Server({"a": True}) as server, server.client() as client:
        export(client, registry)
        assert client.wait_until_ready(20)
        assert registry.get_sample_value("rollout_sdk_connected") == 1
        age_s = registry.get_sample_value("rollout_sdk_staleness_seconds")
        assert age_s is not None
        assert 0 <= age_s < 20


def test_the_age_of_rules_is_told_while_nobody_is_connected(registry: CollectorRegistry) -> None:
    """A refused token is a number to alert on, and the rules go on ageing by the second."""
    runtime = RulesetClient(Ruleset(position(7), {"a": boolean("a")}, {}, {}))
    runtime._runtime._confirmation = Confirmation(time.monotonic() - 90)
    export(runtime, registry)
    value = registry.get_sample_value
    assert value("rollout_sdk_refused") == 0
    runtime._runtime.connected(is_connected=False, refused="UNAUTHENTICATED: no such token")
    assert (value("rollout_sdk_refused"), value("rollout_sdk_connected")) == (1, 0)
    age_s = value("rollout_sdk_staleness_seconds")
    assert age_s is not None
    assert age_s >= 90
    assert value("rollout_sdk_revision") == 7


def test_names_that_callers_invent_are_bounded(registry: CollectorRegistry) -> None:
    """A typing error is told by name; names made of user input are "other", and break no scrape."""
    client = fixed({"a": True})
    export(client, registry)
    client.enabled("not a key \ud800 \n", USER)
    for number in range(UNKNOWN_MAX + 50):
        client.enabled(f"typo-{number}", USER)
    assert decisions(registry, "typo-0", "", "unknown_flag") == 1
    assert decisions(registry, OTHER, "", "unknown_flag") == 51
    client.enabled("a", USER)
    assert decisions(registry, "a", "on", "default") == 1
    assert b"\\ud800" not in generate_latest(registry)


def test_series_are_bounded(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the rules are; what has no room is counted together."""
    assert SERIES_MAX == 10_000
    monkeypatch.setattr(prometheus, "SERIES_MAX", 3)
    client = fixed({f"f-{number}": True for number in range(5)})
    export(client, registry)
    for _ in range(2):
        for number in range(5):
            client.enabled(f"f-{number}", USER)
    assert decisions(registry, "f-0", "on", "default") == 2
    assert decisions(registry, OTHER, "", "default") == 4


def test_a_registry_takes_one_client(registry: CollectorRegistry) -> None:
    """Two would be told apart by nothing; the first one stays as it is."""
    first, second = fixed({"a": True}), fixed({"a": True})
    export(first, registry)
    with pytest.raises(ValueError, match="Duplicated"):
        export(second, registry)
    first.enabled("a", USER)
    assert decisions(registry, "a", "on", "default") == 1
    assert isinstance(first, Client)
