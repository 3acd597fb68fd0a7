"""The provider behind the real OpenFeature API. Numbers are those of the specification's requirements (v0.8)."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions
from openfeature.flag_evaluation import Reason as Told
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import ProviderStatus
from openfeature.track import TrackingEventDetails

from rollout_sdk import Reason
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
from rollout_sdk.testing import RulesetClient, fixed
from rollout_sdk.wire.messages import Part
from tests.doubles.delivery_server import digest_of, record
from tests.rulesets import flag, valued
from tests.small_rules import boolean, broken, by_rollout, position, rollout

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
