"""Decisions as events of OpenTelemetry's spans (`pip install 'rollout-guard[otel]'`).

    end = trace(client)

Names are those of the semantic conventions for feature flags, which are still in development there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

try:
    import opentelemetry  # noqa: F401 - only asked whether it is there
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}; type: pip install 'rollout-guard[otel]'", name=error.name) from None

from opentelemetry.trace import get_current_span

from rollout_sdk.reasons import ERROR_CODES, standard_reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.client import Client
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Decision

EVENT: Final = "feature_flag.evaluation"
PROVIDER: Final = "rollout-guard"


def trace(client: Client, *, context_id: str = "") -> Callable[[], None]:
    """Add an event to the span around each decision, from now on; where no span records, nothing is made.

    Of a decision: key, variant, reason, revision, and for a default the error's type. `rollout_guard.rollout`, `.run`,
    `.stage` and `.arm` say which rollout it was, `rollout_guard.confirmed_ms_ago` how old the rules of a stale decision
    are. Never the value, and of the context nothing unless asked for.

    Args:
        client: whose decisions.
        context_id: kind of unit whose key is told, as `feature_flag.context.id`. It is personal, so none unless given.

    Returns:
        A function that ends it.
    """

    def tell(decision: Decision, context: Context) -> None:
        span = get_current_span()
        if not span.is_recording():
            return
        unit = context.units.get(context_id) if context_id else None
        attributes = _attributes(client, decision)
        span.add_event(EVENT, attributes if unit is None else {**attributes, "feature_flag.context.id": unit})

    return client.on_decision(tell)


def _attributes(client: Client, decision: Decision) -> dict[str, str | int]:
    reason = standard_reason(decision, client._runtime.flag(decision.flag))  # noqa: SLF001 - of this package
    attributes: dict[str, str | int] = {
        "feature_flag.key": decision.flag,
        "feature_flag.provider.name": PROVIDER,
        "feature_flag.result.reason": reason.lower(),
        "feature_flag.version": str(decision.revision),
    }
    if decision.variant is not None:
        attributes["feature_flag.result.variant"] = decision.variant
    if decision.stale and decision.confirmed_ms_ago is not None:
        attributes["rollout_guard.confirmed_ms_ago"] = decision.confirmed_ms_ago
    error = ERROR_CODES.get(decision.reason)
    if error is not None:
        attributes["error.type"] = error.lower()
    if decision.rollout is not None:
        attributes["rollout_guard.rollout"] = decision.rollout
        attributes["rollout_guard.run"] = decision.run
        if decision.stage is not None:
            attributes["rollout_guard.stage"] = decision.stage
        if decision.arm is not None:
            attributes["rollout_guard.arm"] = decision.arm.value
    return attributes
