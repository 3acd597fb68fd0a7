"""The provider behind the real OpenFeature API. Numbers are those of the specification's requirements (v0.8)."""

import asyncio
import queue
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions
from openfeature.flag_evaluation import Reason as Told
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import ProviderStatus
from openfeature.track import TrackingEventDetails

from rollout_sdk import Client, Reason, Settings
from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.engine.model import (
    FlagState,
    Leaf,
    Reach,
    Requirement,
    Rule,
    Ruleset,
    Serve,
    Split,
    Target,
    ValueType,
    Weight,
)
from rollout_sdk.openfeature import NAME, RolloutProvider
from rollout_sdk.runtime import Runtime
from rollout_sdk.testing import RulesetClient, fixed
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.snapshot import pack
from tests.doubles.delivery_server import digest_of, record
from tests.rulesets import flag, valued
from tests.small_rules import boolean, broken, by_rollout, position, rollout

WAIT_S = 20
REFUSAL = "UNAUTHENTICATED: no such token"
USER = EvaluationContext("u-1", {"country": "TH"})
FLAGS = (
    valued("plain", ValueType.BOOLEAN, value=True),
    valued("text", ValueType.STRING, "blue"),
    valued("number", ValueType.INTEGER, 20),
    valued("ratio", ValueType.FLOAT, 0.5),
    valued("map", ValueType.JSON, {"a": [1, {"b": None}]}),
    valued("list", ValueType.JSON, [1, 2]),
    valued("scalar", ValueType.JSON, 7),
    flag("rule", Rule("thais", Serve("on"), Leaf("country", "equals", "TH"))),
    flag("split", Rule("all", Split((Weight("on", 1_000_000),)))),
    flag("target", targets=(Target("on", ("u-1",)),)),
    flag("never", Rule("all", Serve("on")), never=(Leaf("country", "equals", "TH"),)),
    flag("requiring", Rule("all", Serve("on")), requires=(Requirement("plain", ("off",)),)),
    flag("tenants", Rule("all", Split((Weight("on", 1_000_000),))), unit="tenant"),
    flag("killed", Rule("all", Serve("on"))),
    by_rollout("launched"),
)


def ruleset() -> Ruleset:
    return Ruleset(
        position(7),
        {each.key: each for each in FLAGS},
        {},
        {"killed": FlagState("killed", killed=True)},
        dict.fromkeys((each.key for each in FLAGS), 5),
        {"x": rollout("x", "launched", Reach("canary", 1_000_000))},
        {"orders": MetricDeclaration("orders", Measures.PROPORTION, Per.UNIT, late_ms=0)},
    )


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """The API is one for the process."""
    yield
    api.clear_providers()


@pytest.fixture
def backend() -> RulesetClient:
    return RulesetClient(ruleset())


@pytest.fixture
def client(backend: RulesetClient) -> OpenFeatureClient:
    api.set_provider_and_wait(RolloutProvider(backend))
    return api.get_client()


class Heard:
    """What handlers of the API are told."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[tuple[ProviderEvent, EventDetails]] = queue.SimpleQueue()
        for event in ProviderEvent:
            api.add_handler(event, partial(self._take, event))

    def _take(self, event: ProviderEvent, details: EventDetails) -> None:
        self._told.put((event, details))

    def until(self, wanted: ProviderEvent) -> EventDetails:
        while True:
            event, details = self._told.get(timeout=WAIT_S)
            if event is wanted and details.provider_name == NAME:  # READY is told of the SDK's own provider, too
                return details


def test_2_1_1_the_provider_has_a_name() -> None:
    """Events and telemetry name it."""
    api.set_provider_and_wait(RolloutProvider(fixed({})))
    assert api.get_provider_metadata().name == NAME == "rollout-guard"


def test_2_2_2_1_and_2_2_3_each_type_is_resolved_with_its_value(client: OpenFeatureClient) -> None:
    """Booleans, texts, both kinds of number, structures; an integer flag serves as a float, too."""
    assert client.get_boolean_value("plain", default_value=False, evaluation_context=USER) is True
    assert client.get_string_value("text", "x", USER) == "blue"
    assert client.get_integer_value("number", 1, USER) == 20
    assert client.get_float_value("ratio", 1.0, USER) == 0.5
    assert repr(client.get_float_value("number", 1.0, USER)) == "20.0"
    assert client.get_object_value("map", {}, USER) == {"a": [1, {"b": None}]}
    assert client.get_object_value("list", [], USER) == [1, 2]


@pytest.mark.parametrize(
    ("type_", "value", "other"),
    [
        (ValueType.BOOLEAN, False, True),
        (ValueType.STRING, "", "mine"),
        (ValueType.INTEGER, 0, 1),
        (ValueType.FLOAT, 0.0, 0.1),
        (ValueType.JSON, {}, {"mine": 1}),
        (ValueType.INTEGER, 2**31 - 1, 1),
        (ValueType.INTEGER, 2**53 - 1, 1),
    ],
)
def test_2_2_3_values_that_look_like_none_and_large_ones_are_values(type_: ValueType, value: Any, other: Any) -> None:
    """As the specification's conformance suite asks: resolved, exact, with variant and reason, without an error."""
    only = valued("only", type_, value)
    backend = RulesetClient(Ruleset(position(1), {"only": only}, {}, {}))
    api.set_provider_and_wait(RolloutProvider(backend))
    wanted = "object" if type_ is ValueType.JSON else type_.value
    details = getattr(api.get_client(), f"get_{wanted}_details")("only", other, USER)
    assert details.value == value
    assert type(details.value) is type(value)
    assert (details.reason, details.variant, details.error_code) == (Told.STATIC, "only", None)
    assert not details.error_message


async def test_2_2_1_asynchronous_methods_answer_the_same_without_a_wait(client: OpenFeatureClient) -> None:
    """They never give the loop away: what was scheduled before them has not run after them."""
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "later")
    assert await client.get_boolean_value_async("plain", default_value=False, evaluation_context=USER) is True
    assert await client.get_string_value_async("text", "x", USER) == "blue"
    assert await client.get_integer_value_async("number", 1, USER) == 20
    assert await client.get_float_value_async("ratio", 1.0, USER) == 0.5
    assert await client.get_object_value_async("map", {}, USER) == {"a": [1, {"b": None}]}
    assert ran == []


def test_values_of_structures_are_the_callers_own(client: OpenFeatureClient) -> None:
    """Whoever changes one changes nobody else's."""
    first: Any = client.get_object_value("map", {}, USER)
    first["a"].append("mine")
    assert client.get_object_value("map", {}, USER) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("key", "reason", "variant", "exactly"),
    [
        ("plain", Told.STATIC, "only", Reason.DEFAULT),
        ("rule", Told.TARGETING_MATCH, "on", Reason.RULE),
        ("target", Told.TARGETING_MATCH, "on", Reason.TARGET),
        ("never", Told.TARGETING_MATCH, "off", Reason.NEVER),
        ("split", Told.SPLIT, "on", Reason.SPLIT),
        ("launched", Told.SPLIT, "on", Reason.ROLLOUT),
        ("killed", Told.DISABLED, "off", Reason.KILLED),
        ("requiring", Told.DISABLED, "off", Reason.REQUIREMENT),
        ("tenants", Told.DEFAULT, "off", Reason.NO_UNIT),
    ],
)
def test_2_2_4_to_2_2_6_variant_and_reason_are_told_and_no_error(
    client: OpenFeatureClient, key: str, reason: Told, variant: str, exactly: Reason
) -> None:
    """The standard reasons with their standard meanings; our own is in the metadata, without loss."""
    details = client.get_boolean_details(key, default_value=False, evaluation_context=USER)
    assert (details.reason, details.variant, details.error_code, details.error_message) == (reason, variant, None, None)
    assert details.flag_metadata["reason"] == exactly.value


def test_2_2_5_a_flag_whose_rules_do_not_match_serves_its_default(client: OpenFeatureClient) -> None:
    """STATIC is only what nobody is decided by."""
    details = client.get_boolean_details("rule", default_value=True, evaluation_context=EvaluationContext("u-2"))
    assert (details.value, details.reason) == (False, Told.DEFAULT)


def test_2_2_7_and_2_3_3_an_unknown_flag_is_not_found(client: OpenFeatureClient) -> None:
    """The caller's default, a code, a message, and nothing raised."""
    details = client.get_string_details("gone", "mine", USER)
    assert (details.value, details.reason, details.error_code) == ("mine", Told.ERROR, ErrorCode.FLAG_NOT_FOUND)
    assert details.error_message


def _asked(client: OpenFeatureClient, key: str, wanted: str) -> tuple[FlagEvaluationDetails[Any], object]:
    defaults: dict[str, Any] = {"boolean": True, "string": "mine", "integer": 1, "float": 0.25, "object": {"mine": 1}}
    default = defaults[wanted]
    return getattr(client, f"get_{wanted}_details")(key, default, USER), default


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        *(("plain", wanted) for wanted in ("string", "integer", "float", "object")),
        *(("text", wanted) for wanted in ("boolean", "integer", "float", "object")),
        *(("number", wanted) for wanted in ("boolean", "string", "object")),
        *(("ratio", wanted) for wanted in ("boolean", "string", "integer", "object")),
        *(("map", wanted) for wanted in ("boolean", "string", "integer", "float")),
        ("scalar", "integer"),
        ("scalar", "object"),
    ],
)
def test_2_2_7_another_type_is_a_mismatch(client: OpenFeatureClient, key: str, wanted: str) -> None:
    """Never coerced, never truncated: the caller's default, as it was given."""
    details, default = _asked(client, key, wanted)
    assert details.value is default
    assert (details.reason, details.error_code) == (Told.ERROR, ErrorCode.TYPE_MISMATCH)


def test_2_2_7_a_flag_that_cannot_be_read_is_a_parse_error() -> None:
    """One from a newer server, say."""
    backend, unreadable = RulesetClient(ruleset()), record(broken(boolean("new")), 9)
    part = Part(
        snapshot=True,
        base_revision=0,
        position=position(9),
        ruleset_digest=digest_of([unreadable]),
        records=(unreadable,),
    )
    backend._runtime.prepare(lambda: False)
    backend._runtime.receive(part)
    api.set_provider_and_wait(RolloutProvider(backend))
    details = api.get_client().get_boolean_details("new", default_value=True, evaluation_context=USER)
    assert (details.value, details.reason, details.error_code) == (True, Told.ERROR, ErrorCode.PARSE_ERROR)


def test_2_2_9_and_2_2_10_the_metadata_says_what_decided(client: OpenFeatureClient) -> None:
    """Rollout, run, stage, arm, epoch, revision: booleans, texts and numbers, as the specification wants."""
    details = client.get_boolean_details("launched", default_value=False, evaluation_context=USER)
    assert details.flag_metadata == {
        "reason": "rollout",
        "epoch": "epoch-1",
        "revision": 7,
        "version": "7",
        "flag_version": 5,
        "stale": False,
        "rule": "launch",
        "rollout": "x",
        "run": 1,
        "stage": "canary",
        "arm": "candidate",
    }
    plain = client.get_boolean_details("plain", default_value=False, evaluation_context=USER)
    assert plain.flag_metadata.keys() == {"reason", "epoch", "revision", "version", "flag_version", "stale"}


class Noting(Hook):
    """Notes its stages, and moves whoever asks to Thailand."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext:
        self.stages.append(f"before {hook_context.flag_key} of {hook_context.provider_metadata}")
        return EvaluationContext(attributes={"country": "TH"})

    def after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints) -> None:
        self.stages.append(f"after {details.variant}")

    def error(self, hook_context: HookContext, exception: Exception, hints: HookHints) -> None:
        self.stages.append(f"error {type(exception).__name__}")

    def finally_after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints) -> None:
        self.stages.append(f"finally {details.reason}")


def test_2_3_1_hooks_of_the_provider_and_of_a_call_work(backend: RulesetClient) -> None:
    """Their stages run, what `before` returns is decided by, errors reach `error`."""
    own, called = Noting(), Noting()
    api.set_provider_and_wait(RolloutProvider(backend, hooks=[own]))
    client, options = api.get_client(), FlagEvaluationOptions(hooks=[called])
    nobody = EvaluationContext("u-2")
    assert client.get_boolean_value(
        "rule", default_value=False, evaluation_context=nobody, flag_evaluation_options=options
    )
    client.get_boolean_value("gone", default_value=False, flag_evaluation_options=options)
    for stages in (own.stages, called.stages):
        assert [stage.split()[0] for stage in stages] == ["before", "after", "finally", "before", "error", "finally"]
        assert stages[1:3] == ["after on", "finally TARGETING_MATCH"]
        assert stages[4:] == ["error FlagNotFoundError", "finally ERROR"]


def test_2_4_1_initialisation_is_done_when_there_are_rules(client: OpenFeatureClient) -> None:
    """And then the client is READY."""
    assert client.get_provider_status() is ProviderStatus.READY


class Unready(Client):
    """A client whose server has not answered yet; a test lets it."""

    def __init__(self, overrides_path: str = "") -> None:
        self._hold(Runtime(Settings(overrides_path=overrides_path)))
        self._runtime.prepare(lambda: False)
        self._runtime._look()

    def refuse(self, why: str = REFUSAL) -> None:
        self._runtime.connected(is_connected=False, refused=why)

    def receive(self, revision: int = 1) -> None:
        one = record(boolean("a"), 1)
        self._runtime.receive(
            Part(
                snapshot=True,
                base_revision=0,
                position=position(revision),
                ruleset_digest=digest_of([one]),
                records=(one,),
            )
        )

    def expire(self) -> None:
        self._runtime.expire()


def test_2_4_2_1_and_5_3_2_without_rules_initialisation_fails_and_ready_follows() -> None:
    """ERROR meanwhile, decisions are defaults with PROVIDER_NOT_READY, and PROVIDER_READY comes with the rules."""
    backend, heard = Unready(), Heard()
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(RolloutProvider(backend, ready_timeout=0))
    client = api.get_client()
    assert client.get_provider_status() is ProviderStatus.ERROR
    assert heard.until(ProviderEvent.PROVIDER_ERROR).message
    details = client.get_boolean_details("a", default_value=False)
    assert (details.value, details.reason, details.error_code) == (False, Told.ERROR, ErrorCode.PROVIDER_NOT_READY)
    backend.receive()
    heard.until(ProviderEvent.PROVIDER_READY)
    assert client.get_provider_status() is ProviderStatus.READY
    assert client.get_boolean_value("a", default_value=False) is True


def test_2_4_2_1_a_refused_token_is_fatal_at_once() -> None:
    """Nobody waits for the time that a slow server is given: the specification calls bad credentials irrecoverable."""
    backend, heard = Unready(), Heard()
    backend.refuse()
    with pytest.raises(ProviderFatalError, match=REFUSAL):
        api.set_provider_and_wait(RolloutProvider(backend, ready_timeout=3_600))
    client = api.get_client()
    assert client.get_provider_status() is ProviderStatus.FATAL
    told = heard.until(ProviderEvent.PROVIDER_ERROR)
    assert told.error_code is ErrorCode.PROVIDER_FATAL
    details = client.get_boolean_details("a", default_value=False)
    assert (details.value, details.reason, details.error_code) == (False, Told.ERROR, ErrorCode.PROVIDER_FATAL)


def test_5_1_5_a_refusal_after_initialisation_is_an_error_event_and_ready_follows_a_mended_token() -> None:
    """The client goes on dialling: whoever mends the token restarts nothing."""
    backend, heard = Unready(), Heard()
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(RolloutProvider(backend, ready_timeout=0))
    assert heard.until(ProviderEvent.PROVIDER_ERROR).error_code is ErrorCode.PROVIDER_NOT_READY
    backend.refuse()
    told = heard.until(ProviderEvent.PROVIDER_ERROR)
    assert told.error_code is ErrorCode.PROVIDER_FATAL
    assert REFUSAL in (told.message or "")
    backend.refuse("")
    assert heard.until(ProviderEvent.PROVIDER_ERROR).error_code is ErrorCode.PROVIDER_NOT_READY
    backend.receive()
    heard.until(ProviderEvent.PROVIDER_READY)
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_a_token_that_is_revoked_takes_nobodys_rules_away() -> None:
    """OpenFeature asks a fatal provider nothing more; so it is only stale, and says why."""
    backend, heard = Unready(), Heard()
    backend.receive(1)
    api.set_provider_and_wait(RolloutProvider(backend))
    heard.until(ProviderEvent.PROVIDER_READY)
    backend.refuse()
    backend.expire()
    assert REFUSAL in (heard.until(ProviderEvent.PROVIDER_STALE).message or "")
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_overrides_are_served_under_a_refused_token(tmp_path: Path) -> None:
    """The file for emergencies needs no server, so no provider with one is fatal."""
    (tmp_path / "overrides").write_text("a: on\n", encoding="utf-8")
    backend = Unready(overrides_path=str(tmp_path / "overrides"))
    backend.refuse()
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(RolloutProvider(backend))
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_setting_the_provider_does_not_wait_for_a_server() -> None:
    """`set_provider` returns at once; the OpenFeature SDK initialises on a thread of its own."""
    backend, heard = Unready(), Heard()
    api.set_provider(RolloutProvider(backend, ready_timeout=WAIT_S))
    assert api.get_client().get_provider_status() is ProviderStatus.NOT_READY
    backend.receive()
    heard.until(ProviderEvent.PROVIDER_READY)
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_rules_from_disk_are_ready_and_then_told_stale(tmp_path: Path) -> None:
    """They decide from the first moment; that nobody confirmed them is told as soon as it can be."""
    heard, path = Heard(), tmp_path / "rules.snapshot"
    path.write_bytes(pack(position(3), [record(boolean("a"), 1)], []))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        target = f"127.0.0.1:{deaf.getsockname()[1]}"
        api.set_provider_and_wait(RolloutProvider(Client(target, token="rg_x", snapshot_path=path), ready_timeout=0.01))
        assert api.get_client().get_boolean_value("a", default_value=False) is True
        heard.until(ProviderEvent.PROVIDER_STALE)
        assert api.get_client().get_provider_status() is ProviderStatus.STALE


def test_5_1_1_stale_and_ready_follow_the_connection() -> None:
    """Decisions made meanwhile say STALE, and go on."""
    backend, heard = Unready(), Heard()
    backend.receive(1)
    api.set_provider_and_wait(RolloutProvider(backend))
    client = api.get_client()
    heard.until(ProviderEvent.PROVIDER_READY)
    backend.expire()
    assert heard.until(ProviderEvent.PROVIDER_STALE).message
    assert client.get_provider_status() is ProviderStatus.STALE
    details = client.get_boolean_details("a", default_value=False)
    assert (details.value, details.reason, details.error_code) == (True, Told.STALE, None)
    assert details.flag_metadata["reason"] == "default"
    age_ms = details.flag_metadata["confirmed_ms_ago"]
    assert isinstance(age_ms, int)
    assert age_ms >= 0
    backend.receive(2)
    heard.until(ProviderEvent.PROVIDER_READY)
    assert client.get_provider_status() is ProviderStatus.READY


def test_5_1_1_and_5_2_3_changed_flags_are_named() -> None:
    """Exactly those, and by which provider."""
    backend, heard = fixed({"a": True, "b": 1}), Heard()
    api.set_provider_and_wait(RolloutProvider(backend))
    backend.set({"b": 2})
    details = heard.until(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
    assert (details.flags_changed, details.provider_name) == (["b"], NAME)


def test_2_5_1_and_2_5_2_shutdown_closes_the_client_and_is_final() -> None:
    """Not ready again, silent, and not to be started again: a closed client stays closed."""
    backend = fixed({"a": True})
    provider = RolloutProvider(backend)
    api.set_provider_and_wait(provider)
    api.shutdown()
    assert provider._state is ProviderStatus.NOT_READY
    assert backend._runtime._is_closed
    with pytest.raises(ProviderFatalError):
        provider.initialize(EvaluationContext())


def test_a_client_of_somebody_else_is_left_open() -> None:
    """It is used outside of OpenFeature, too; a provider on it can start again."""
    backend = fixed({"a": True})
    provider = RolloutProvider(backend, closes_client=False)
    api.set_provider_and_wait(provider)
    api.shutdown()
    assert not backend._runtime._is_closed
    provider.initialize(EvaluationContext())
    provider.shutdown()


def test_no_thread_is_left_behind() -> None:
    """Ended subscriptions end their threads."""
    before = set(threading.enumerate())
    provider = RolloutProvider(fixed({"a": True}))
    provider.initialize(EvaluationContext())
    mine = set(threading.enumerate()) - before
    assert mine
    provider.shutdown()
    for thread in mine:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_3_1_1_the_targeting_key_is_the_unit(backend: RulesetClient) -> None:
    """Of kind user unless said otherwise; without one there is no unit, and no error."""
    provider = RolloutProvider(backend, unit="tenant")
    assert provider.resolve_boolean_details("tenants", False, EvaluationContext("t-9")).value is True
    assert provider.resolve_boolean_details("target", False, EvaluationContext("u-1")).value is False
    nobody = provider.resolve_boolean_details("tenants", True, None)
    assert (nobody.value, nobody.error_code) == (False, None)


def test_3_1_2_attributes_reach_the_rules(backend: RulesetClient) -> None:
    """Units of other kinds come in the attribute `units`; a time without a zone is one in UTC."""
    seen: list[Any] = []
    backend.on_decision(lambda _, context: seen.append(context))
    provider = RolloutProvider(backend)
    attributes: Any = {
        "units": {"tenant": "t-9", "user": "not me", "odd": 5},
        "plan": {"tier": "pro"},
        "since": datetime(2026, 1, 2),  # noqa: DTZ001 - that is the point
    }
    assert provider.resolve_boolean_details("tenants", False, EvaluationContext("u-1", attributes)).value is True
    (context,) = seen
    assert context.units == {"tenant": "t-9", "user": "u-1"}
    assert context.attributes == {"plan": {"tier": "pro"}, "since": datetime(2026, 1, 2, tzinfo=UTC)}


def test_an_attribute_called_units_that_is_no_map_is_an_attribute(backend: RulesetClient) -> None:
    """Somebody's number of units sold is theirs."""
    seen: list[Any] = []
    backend.on_decision(lambda _, context: seen.append(context))
    RolloutProvider(backend).resolve_boolean_details("plain", False, EvaluationContext("u-1", {"units": 3}))
    assert seen[0].attributes == {"units": 3}


def test_2_7_1_tracking_records_an_outcome(backend: RulesetClient) -> None:
    """The event is the metric; without a value it happened. In a scope it is the scope's."""
    api.set_provider_and_wait(RolloutProvider(backend))
    client = api.get_client()
    context = EvaluationContext("u-1")
    client.track("orders", context)
    client.track("orders", EvaluationContext("u-2"), TrackingEventDetails(value=0))
    window = backend._runtime.counting.rotate()
    outcomes = [
        (value, key.arm.value)
        for arms in window.runs.values()
        for key, sums in arms.items()
        for _, value in sums.outcomes["orders"]
    ]
    assert sorted(outcomes) == [(0.0, "candidate"), (1.0, "candidate")]


@pytest.mark.parametrize("odd", [object(), 5, "text", [1], {"units": object()}])
def test_odd_contexts_raise_nothing(client: OpenFeatureClient, odd: Any) -> None:
    """Whatever the attributes are."""
    details = client.get_boolean_details(
        "plain", default_value=False, evaluation_context=EvaluationContext("u", {"odd": odd})
    )
    assert details.value is True
