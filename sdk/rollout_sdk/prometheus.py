"""Decisions and the standing of a client as Prometheus metrics (`pip install 'rollout-guard[prometheus]'`).

    end = export(client)

A counter for each flag, variant and reason, and gauges that are read when they are scraped. Labels are bounded,
whatever callers ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

try:
    import prometheus_client  # noqa: F401 - only asked whether it is there
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}; type: pip install 'rollout-guard[prometheus]'", name=error.name) from None

from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily

from rollout_sdk.engine.names import key_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_sdk.client import Client
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Decision

SERIES_MAX: Final = 10_000
UNKNOWN_MAX: Final = 100
"""Flags that are told by name although they are not known here: typing errors, mostly."""
OTHER: Final = "other"


def export(client: Client, registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Count each decision, and show how the client stands, from now on.

    `rollout_sdk_decisions_total{flag, variant, reason}`; variant is "" where the caller's default was served.
    `rollout_sdk_connected`, `rollout_sdk_refused`, `rollout_sdk_ready`, `rollout_sdk_stale` (0 or 1),
    `rollout_sdk_revision`, `rollout_sdk_quarantined_flags`, and `rollout_sdk_staleness_seconds`: since a server last
    confirmed the rules, connected or not; missing where nobody knows.

    Args:
        client: whose.
        registry: where to; it takes one client.

    Returns:
        A function that ends it and takes the metrics back.

    Raises:
        ValueError: the registry has these metrics of another client.
    """
    counting = _Counting(registry)
    standing = _Standing(client)
    try:
        registry.register(standing)
    except ValueError:
        counting.end()
        raise
    forget = client.on_decision(counting.count)

    def end() -> None:
        forget()
        registry.unregister(standing)
        counting.end()

    return end


class _Counting:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._counter = Counter(
            "rollout_sdk_decisions",
            "Decisions, by what was served and why.",
            ("flag", "variant", "reason"),
            registry=registry,
        )
        self._children: dict[tuple[str, str | None, str], Counter] = {}
        self._unknown: set[str] = set()

    def count(self, decision: Decision, _context: Context) -> None:
        child = self._children.get((decision.flag, decision.variant, decision.reason.value))
        (self._child(decision) if child is None else child).inc()

    def _child(self, decision: Decision) -> Counter:
        """Return the series of a decision; "other" where there is no room for one of its own."""
        flag, variant, reason = decision.flag, decision.variant or "", decision.reason.value
        if len(self._children) >= SERIES_MAX:
            return self._counter.labels(OTHER, "", reason)
        if decision.flag_version == 0 and flag not in self._unknown:  # named by a caller, and maybe by nobody else
            if len(self._unknown) >= UNKNOWN_MAX or key_fault(flag):
                return self._counter.labels(OTHER, "", reason)
            self._unknown.add(flag)
        child = self._counter.labels(flag, variant, reason)
        self._children[flag, decision.variant, reason] = child
        return child

    def end(self) -> None:
        self._registry.unregister(self._counter)


class _Standing:
    def __init__(self, client: Client) -> None:
        self._client = client

    def collect(self) -> Iterator[GaugeMetricFamily]:
        status = self._client.status()
        yield _gauge("connected", "Whether a server answers.", status.connected)
        yield _gauge("refused", "Whether the server sends this client away, of its token mostly.", bool(status.refused))
        yield _gauge("ready", "Whether the rules in force were ever confirmed.", status.ready)
        yield _gauge("stale", "Whether decisions say that they are stale.", status.stale)
        yield _gauge("revision", "Of the rules in force.", status.revision)
        yield _gauge("quarantined_flags", "Flags whose newest rules are not in force here.", len(status.quarantined))
        if status.confirmed_ms_ago is not None:
            age_s = status.confirmed_ms_ago / 1_000
            yield _gauge("staleness_seconds", "Since a server last confirmed the rules in force.", age_s)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"rollout_sdk_{name}", text, value=float(value))
