"""Rollout Guard behind the OpenFeature API (`pip install 'rollout-guard[openfeature]'`).

    from openfeature import api
    from rollout_sdk import Client
    from rollout_sdk.openfeature import RolloutProvider

    api.set_provider(RolloutProvider(Client.from_env()))

Of the evaluation context, the targeting key is the unit; attribute `units`, a map of kind to key, names further ones;
all other attributes are attributes. No decision blocks, asynchronous or not: it is made in this process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Event, Thread, Timer
from typing import TYPE_CHECKING, Any, Final

try:
    import openfeature  # noqa: F401 - only asked whether it is there
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}; type: pip install 'rollout-guard[openfeature]'", name=error.name) from None

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, OpenFeatureError, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.flag_evaluation import Reason as Told
from openfeature.provider import AbstractProvider, Metadata, ProviderStatus

from rollout_sdk.engine.context import EMPTY, Context
from rollout_sdk.engine.model import DEFAULT_UNIT, Reason, ValueType
from rollout_sdk.reasons import ERROR_CODES, standard_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openfeature.event import ProviderEvent
    from openfeature.flag_evaluation import FlagValueType
    from openfeature.hook import Hook
    from openfeature.provider import FeatureProvider
    from openfeature.track import TrackingEventDetails

    from rollout_sdk.client import Client
    from rollout_sdk.engine.model import Decision
    from rollout_sdk.status import Status

NAME: Final = "rollout-guard"
UNITS: Final = "units"
"""The attribute that names units besides the targeting key: {"tenant": "t-9"}."""

_SETTLE_S: Final = 0.1
"""When `initialize` ends, the OpenFeature SDK itself says READY or ERROR; what differs is said after that."""

_MESSAGES: Final[Mapping[str, str]] = {
    "PROVIDER_NOT_READY": "no rules were received yet; the caller's default is served",
    "FLAG_NOT_FOUND": "no such flag in this environment",
    "TYPE_MISMATCH": "the flag is of another type than was asked for",
    "PARSE_ERROR": "this SDK cannot read the flag's rules; `rollout sdks` says why",
}

_NOTHING: Final = "no server has answered yet, and no rules are on disk; defaults are served"
_NO_STRUCTURE: Final = "the flag serves JSON that is neither a map nor a list"


class RolloutProvider(AbstractProvider):
    """Answers OpenFeature by the decisions of one `Client`.

    Reasons are those of the specification: STATIC where a flag has nothing to decide by, DEFAULT where nothing of it
    matched, TARGETING_MATCH, SPLIT (rollouts too), DISABLED (killed, or a requirement unmet), STALE for whatever the
    server has not confirmed lately, ERROR with a code. The flag metadata holds the exact reason, and what else a
    `Decision` says: `reason`, `rule`, `rollout`, `run`, `stage`, `arm`, `epoch`, `revision`, `flag_version`, `stale`,
    and of a stale one its age, `confirmed_ms_ago`.
    """

    def __init__(
        self,
        client: Client,
        *,
        unit: str = DEFAULT_UNIT,
        ready_timeout: float = 5.0,
        hooks: Sequence[Hook] = (),
        closes_client: bool = True,
    ) -> None:
        """Make a provider; register it with `openfeature.api.set_provider`.

        Args:
            client: decides.
            unit: kind of unit that the targeting key is of.
            ready_timeout: seconds that initialisation waits for rules; it does not wait where they are on disk.
            hooks: of the provider.
            closes_client: whether `shutdown` closes the client.
        """
        super().__init__()
        self._client = client
        self._unit = unit
        self._ready_timeout_s = ready_timeout
        self._hooks = list(hooks)
        self._closes_client = closes_client
        self._is_shut_down = False
        self._is_settled = False
        self._is_told = Event()
        self._state = ProviderStatus.NOT_READY
        self._pid = os.getpid()
        self._unwatch: Callable[[], None] | None = None
        self._endings: list[Callable[[], None]] = []

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(NAME)

    def get_provider_hooks(self) -> list[Hook]:
        """Return the hooks that it was made with."""
        return self._hooks

    # ------------------------------------------------------------------------------------------------------ lifecycle

    def attach(self, on_emit: Callable[[FeatureProvider, ProviderEvent, ProviderEventDetails], None]) -> None:
        """Watch the client from now on: OpenFeature initialises on a thread, which a forked child does not have."""
        super().attach(on_emit)
        self._watch()

    def _watch(self) -> None:
        if self._unwatch is None:
            self._unwatch = self._client.on_status(self._stand)

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002 - contexts come with each call
        """Wait until there are rules to decide by, from a server or from disk, at most as long as it was made to.

        Raises:
            ProviderNotReadyError: there are none yet. PROVIDER_READY follows when they come.
            ProviderFatalError: there are none, and the server refuses this client, most likely its token; or the
                provider was shut down, and the client is closed.
        """
        if self._is_shut_down and self._closes_client:
            raise ProviderFatalError("the client of this provider is closed; make another client and provider")
        self._is_settled = False
        self._is_told.clear()
        self._watch()
        self._stand(self._client.status())
        self._is_told.wait(self._ready_timeout_s)
        status = self._client.status()
        self._state = ProviderStatus.READY if status.epoch else _without_rules(status)
        settling = Timer(_SETTLE_S, self._settle)
        settling.daemon = True
        settling.start()
        self._endings = [self._client.on_change(self._changed), settling.cancel]
        if self._state is ProviderStatus.FATAL:
            raise ProviderFatalError(_refusal(status))
        if self._state is ProviderStatus.ERROR:
            raise ProviderNotReadyError(_NOTHING)

    def shutdown(self) -> None:
        """Deliver what was recorded; close the client, unless it is somebody else's."""
        self._end()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self._state, self._is_shut_down = ProviderStatus.NOT_READY, True
        if self._closes_client:
            self._client.close()
        else:
            self._client.flush()

    def _end(self) -> None:
        endings, self._endings = self._endings, []
        for end in endings:
            end()

    def _begin_again(self) -> None:
        """Initialise, in a forked child, in the stead of OpenFeature's thread, and say what it would have said."""
        self._end()
        self._is_told = Event()
        try:
            self.initialize(EvaluationContext())
        except OpenFeatureError as error:
            self.emit_provider_error(ProviderEventDetails(message=error.error_message, error_code=error.error_code))
        else:
            self.emit_provider_ready(ProviderEventDetails())

    def _changed(self, flags: frozenset[str]) -> None:
        self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=sorted(flags)))

    def _settle(self) -> None:
        """The OpenFeature SDK has had its word."""
        self._is_settled = True
        self._stand(self._client.status())

    def _stand(self, status: Status) -> None:
        """Emit what the OpenFeature SDK does not know yet of how the client stands."""
        if self._pid != os.getpid():  # a forked child, on a thread of its own: how the client stands is told anew there
            self._pid = os.getpid()
            if not self._is_settled:
                Thread(target=self._begin_again, name="rollout-openfeature", daemon=True).start()
                return
        if status.epoch or status.refused:
            self._is_told.set()
        if not status.epoch:
            state = _without_rules(status)
        else:
            state = ProviderStatus.STALE if status.stale else ProviderStatus.READY
        if not (self._is_settled and self._endings) or state is self._state:
            return
        self._state = state
        if state is ProviderStatus.STALE:
            ago_ms = status.confirmed_ms_ago
            since = "since this process began" if ago_ms is None else f"for {ago_ms} ms"
            because = f"; {_refusal(status)}" if status.refused else ""
            self.emit_provider_stale(
                ProviderEventDetails(message=f"no server has confirmed the rules {since}{because}")
            )
        elif state is ProviderStatus.READY:
            self.emit_provider_ready(ProviderEventDetails(message=f"the rules are those of revision {status.revision}"))
        elif state is ProviderStatus.FATAL:
            details = ProviderEventDetails(message=_refusal(status), error_code=ErrorCode.PROVIDER_FATAL)
            self.emit_provider_error(details)
        else:
            details = ProviderEventDetails(message=_NOTHING, error_code=ErrorCode.PROVIDER_NOT_READY)
            self.emit_provider_error(details)

    # ------------------------------------------------------------------------------------------------------ decisions

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - as OpenFeature has it
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Decide a boolean flag."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.BOOLEAN)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Decide a string flag."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.STRING)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Decide an integer flag."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.INTEGER)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Decide a float flag; an integer flag serves its number as a float."""
        return self._resolve(flag_key, default_value, evaluation_context, ValueType.FLOAT)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Decide a json flag whose value is a map or a list, a copy of the caller's own."""
        details = self._resolve(flag_key, default_value, evaluation_context, ValueType.JSON)
        if details.error_code is None and not isinstance(details.value, dict | list):
            return _failed(default_value, ErrorCode.TYPE_MISMATCH, _NO_STRUCTURE, details.flag_metadata)
        return details

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Record an outcome: the event is the key of a metric, its value (true where it has none) the outcome."""
        value = tracking_event_details.value if tracking_event_details is not None else None
        self._client.record(tracking_event_name, self._context(evaluation_context), True if value is None else value)

    def _resolve(
        self, flag: str, default: object, context: EvaluationContext | None, type_: ValueType
    ) -> FlagResolutionDetails[Any]:
        """Decide, and say it in OpenFeature's words."""
        front = self._client._front  # noqa: SLF001 - typed and with its details: no method of a client is both
        decision = front.now.decider.decide(flag, self._context(context), default, type_)  # type: ignore[arg-type] # given back as it is
        error = ERROR_CODES.get(decision.reason)
        if error is not None:
            if decision.reason is Reason.UNKNOWN_FLAG and decision.flag in self._client.status().quarantined:
                error = ERROR_CODES[Reason.ERROR]  # it was never readable here, and so is not known by its rules
            return _failed(decision.value, ErrorCode(error), _MESSAGES[error], _metadata(decision))
        in_force = self._client._runtime.flag(decision.flag)  # noqa: SLF001 - of this package
        return FlagResolutionDetails(
            value=decision.value,
            reason=Told(standard_reason(decision, in_force)),
            variant=decision.variant,
            flag_metadata=_metadata(decision),
        )

    def _context(self, context: EvaluationContext | None) -> Context:
        if context is None:
            return EMPTY
        attributes = dict(context.attributes)
        units = attributes.get(UNITS)
        named: dict[str, Any] = {}
        if isinstance(units, Mapping):
            del attributes[UNITS]
            named.update(units)
        if context.targeting_key is not None:
            named[self._unit] = context.targeting_key
        return Context.of(named, {name: _aware(value) for name, value in attributes.items()})


def _without_rules(status: Status) -> ProviderStatus:
    """Time mends no refusal, so that is fatal: OpenFeature asks nothing more. Hence not where overrides answer."""
    return ProviderStatus.FATAL if status.refused and not status.overridden else ProviderStatus.ERROR


def _refusal(status: Status) -> str:
    return f"the server refuses this client: {status.refused}; check its token, and that the token's role is sdk"


def _aware(value: object) -> object:
    """The specification takes a time without a zone for one in UTC."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _failed(
    default: object, code: ErrorCode, message: str, metadata: Mapping[str, bool | int | float | str]
) -> FlagResolutionDetails[Any]:
    return FlagResolutionDetails(
        value=default, reason=Told.ERROR, error_code=code, error_message=message, flag_metadata=metadata
    )


def _metadata(decision: Decision) -> dict[str, bool | int | float | str]:
    """Say what a decision knows; what it does not know is not there. `version` is a name of OpenFeature's."""
    metadata: dict[str, bool | int | float | str] = {
        "reason": decision.reason.value,
        "epoch": decision.epoch,
        "revision": decision.revision,
        "version": str(decision.revision),
        "flag_version": decision.flag_version,
        "stale": decision.stale,
    }
    if decision.stale and decision.confirmed_ms_ago is not None:  # a fresh one reads no clock
        metadata["confirmed_ms_ago"] = decision.confirmed_ms_ago
    if decision.rule is not None:
        metadata["rule"] = decision.rule
    if decision.rollout is not None:
        metadata |= {"rollout": decision.rollout, "run": decision.run}
        if decision.stage is not None:
            metadata["stage"] = decision.stage
        if decision.arm is not None:
            metadata["arm"] = decision.arm.value
    return metadata
