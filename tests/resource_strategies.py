"""Hypothesis strategies for what people write, of every kind, with everything that files can say."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from hypothesis import strategies as st

from rollout_sdk.engine.limits import INTEGER_MAX, INTEGER_MIN
from rollout_sdk.engine.model import (
    PPM,
    All,
    Any,
    ByRollout,
    Condition,
    InCohort,
    Json,
    Leaf,
    Not,
    OnMissing,
    Operand,
    Requirement,
    Rule,
    Serve,
    Split,
    Target,
    ValueType,
    Variant,
    Weight,
)
from rollout_server.domain.files.durations import DURATION_MAX_MS
from rollout_server.domain.files.operators import SHAPES, TYPE_CLASSES, OperandShape
from rollout_server.domain.files.policies import REQUIRABLE
from rollout_server.domain.files.quantities import COUNT_MAX
from rollout_server.domain.guardrails.spec import (
    AbsoluteLimit,
    Action,
    Bad,
    Guardrail,
    Measures,
    MetricSpec,
    Per,
    RelativeLimit,
    Source,
)
from rollout_server.domain.resources import PLANNED, CohortSpec, FlagSpec, Kind, Metadata, Resource
from rollout_server.domain.rollouts import (
    AfterHold,
    Approval,
    ChannelSpec,
    Escalation,
    Exit,
    Finish,
    FreezeSpec,
    OnBlind,
    PipelineSpec,
    PolicySpec,
    RolloutSpec,
    Stage,
    Transport,
)

KEYS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}", fullmatch=True)
UNIT_KINDS = st.one_of(st.just("user"), st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# Words that some YAML reader takes for something else, and texts that need care in quotes.
_WORDS = "on off yes No true null ~ 00123 1.10 1e3 .5 0x1F 2027-06-01 12:30 25% {a} ' # &a *a !a | << = a: --- ..."
TRAPS = st.sampled_from([*_WORDS.split(), "", " ", "a: b", "a #b", "- a", '"', "\\", "a\nb", "\ta", "--- a", "a\n"])
WORDS = st.one_of(TEXTS, TRAPS)
SOME_TEXT = WORDS.filter(bool)
INTEGERS = st.integers(INTEGER_MIN, INTEGER_MAX)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(st.booleans(), INTEGERS, FLOATS, WORDS)
JSON_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


def _is_variant(text: str) -> bool:
    return text.isprintable() and text == text.strip() and unicodedata.is_normalized("NFC", text)


VARIANT_KEYS = st.one_of(st.sampled_from(["on", "off", "none", "a b"]), SOME_TEXT.filter(_is_variant))

_OPERANDS: dict[OperandShape, st.SearchStrategy[Operand]] = {
    OperandShape.SCALAR: SCALARS,
    OperandShape.SCALARS: st.lists(SCALARS, max_size=3).map(tuple),
    OperandShape.TEXT: SOME_TEXT,
    OperandShape.TEXTS: st.one_of(SOME_TEXT, st.lists(SOME_TEXT, max_size=3).map(tuple)),
    OperandShape.NUMBER: st.one_of(INTEGERS, FLOATS),
    OperandShape.NUMBER_PAIR: st.tuples(st.one_of(INTEGERS, FLOATS), st.one_of(INTEGERS, FLOATS)),
    OperandShape.BOOLEAN: st.booleans(),
    OperandShape.TYPE: st.sampled_from(TYPE_CLASSES),
    OperandShape.SIZE: st.one_of(INTEGERS, st.tuples(INTEGERS, INTEGERS)),
    OperandShape.INTEGER_PAIR: st.tuples(INTEGERS, INTEGERS),
}


@st.composite
def leaves(draw: st.DrawFn) -> Leaf:
    operator = draw(st.sampled_from(sorted(SHAPES)))
    is_unit = draw(st.booleans())
    return Leaf(
        draw(UNIT_KINDS if is_unit else SOME_TEXT),
        operator,
        draw(_OPERANDS[SHAPES[operator]]),
        is_unit,
        draw(st.booleans()),
        draw(st.sampled_from(OnMissing)),
    )


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(leaves(), KEYS.map(InCohort)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda many: All(tuple(many))),
        st.lists(inner, max_size=3).map(lambda many: Any(tuple(many))),
        inner.map(Not),
    ),
    max_leaves=5,
)


@st.composite
def splits(draw: st.DrawFn) -> Split:
    variants = draw(st.lists(VARIANT_KEYS, min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, PPM), min_size=len(variants) - 1, max_size=len(variants) - 1)))
    shares = [high - low for low, high in zip([0, *cuts], [*cuts, PPM], strict=True)]
    return Split(tuple(Weight(variant, share) for variant, share in zip(variants, shares, strict=True)))


OUTCOMES = st.one_of(VARIANT_KEYS.map(Serve), splits(), KEYS.map(ByRollout))
RULES = st.builds(Rule, KEYS, OUTCOMES, st.one_of(st.none(), CONDITIONS))
VALUES: dict[ValueType, st.SearchStrategy[Json]] = {
    ValueType.BOOLEAN: st.booleans(),
    ValueType.STRING: WORDS,
    ValueType.INTEGER: INTEGERS,
    ValueType.FLOAT: FLOATS,
    ValueType.JSON: JSON_VALUES,
}


def _tuples(entries: st.SearchStrategy[object], **more: object) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(entries, max_size=3, **more).map(tuple)  # type: ignore[arg-type]


@st.composite
def flag_specs(draw: st.DrawFn) -> FlagSpec:
    value_type = draw(st.sampled_from(ValueType))
    keys = draw(st.lists(VARIANT_KEYS, min_size=1, max_size=4, unique=True))
    variants = tuple(Variant(key, draw(VALUES[value_type])) for key in keys)
    if value_type is ValueType.BOOLEAN and draw(st.booleans()):
        keys, variants = ["on", "off"], (Variant("on", True), Variant("off", False))
    targets = draw(st.dictionaries(VARIANT_KEYS, st.lists(SOME_TEXT, max_size=3), max_size=2))
    return FlagSpec(
        type=value_type,
        variants=variants,
        off=draw(st.sampled_from(keys)),
        default=draw(st.sampled_from(keys)),
        unit=draw(UNIT_KINDS),
        never=draw(_tuples(CONDITIONS)),  # type: ignore[arg-type]
        requires=draw(_tuples(st.builds(Requirement, KEYS, _tuples(VARIANT_KEYS)))),  # type: ignore[arg-type]
        targets=tuple(Target(variant, tuple(units)) for variant, units in targets.items()),
        rules=draw(_tuples(RULES)),  # type: ignore[arg-type]
        salt=draw(st.one_of(st.just(""), st.from_regex(r"[a-z0-9-]{16}", fullmatch=True))),
    )


SHARES = st.integers(0, PPM)
DURATIONS = st.one_of(
    st.just(0), st.integers(0, DURATION_MAX_MS), st.integers(0, 366).map(lambda days: days * 86_400_000)
)
COUNTS = st.one_of(st.just(0), st.integers(0, COUNT_MAX))
METRIC_SPECS = st.builds(
    MetricSpec,
    st.sampled_from(Measures),
    st.sampled_from(Per),
    st.sampled_from(Bad),
    quantile_ppm=st.integers(0, PPM - 1),
    unit=WORDS,
    late_ms=DURATIONS,
    source=st.sampled_from(Source),
    numerator=WORDS,
    denominator=WORDS,
)
POINTS = st.builds(RelativeLimit, st.just(0), SHARES.map(lambda ppm: ppm / PPM), st.just(value=True))
LIMITS = st.one_of(
    st.builds(
        lambda ppm, least: replace(least, ppm=ppm),
        st.integers(1 - 10**9, 10**9 - 1),
        st.one_of(POINTS, st.builds(RelativeLimit, st.just(0), FLOATS)),
    ),
    st.builds(AbsoluteLimit, FLOATS),
)
GUARDRAILS = st.builds(
    Guardrail, KEYS, LIMITS, st.sampled_from(Action), weight=SHARES.map(lambda ppm: ppm / PPM), tolerance_ppm=SHARES
)
APPROVALS = st.builds(Approval, KEYS, COUNTS)
EXITS = st.builds(Exit, COUNTS, st.booleans(), st.one_of(st.none(), APPROVALS))
STAGES = st.builds(Stage, KEYS, SHARES, st.one_of(st.none(), CONDITIONS), DURATIONS, DURATIONS, EXITS, WORDS)
PIPELINE_SPECS = st.builds(
    PipelineSpec,
    _tuples(STAGES),
    _tuples(GUARDRAILS),
    _tuples(SOME_TEXT),
    st.builds(Finish, SHARES, DURATIONS),
    st.one_of(st.none(), st.builds(OnBlind, DURATIONS, st.sampled_from(AfterHold))),
    _tuples(st.builds(Escalation, DURATIONS, KEYS)),
)
SALTS = st.one_of(st.just(""), st.from_regex(r"[a-z0-9-]{16}", fullmatch=True))
ROLLOUT_SPECS = st.builds(
    RolloutSpec,
    KEYS,
    VARIANT_KEYS,
    VARIANT_KEYS,
    KEYS,
    never=_tuples(CONDITIONS),
    start=WORDS,
    after_environment=st.one_of(st.just(""), KEYS),
    salt=SALTS,
)
FREEZE_SPECS = st.builds(
    FreezeSpec,
    SOME_TEXT,
    SOME_TEXT,
    zone=WORDS,
    tags=_tuples(SOME_TEXT),
    exempt=_tuples(SOME_TEXT),
    stagger_ms=DURATIONS,
)
CHANNEL_SPECS = st.one_of(
    st.builds(ChannelSpec, st.sampled_from([Transport.WEBHOOK, Transport.APPRISE]), SOME_TEXT, secret_env=WORDS),
    st.builds(ChannelSpec, st.just(Transport.COMMAND), SOME_TEXT, _tuples(SOME_TEXT), secret_env=WORDS),
)
_KINDS = st.sampled_from([kind.value for kind in PLANNED])


def _pairs(names: st.SearchStrategy[str], values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.dictionaries(names, values, max_size=3).map(lambda found: tuple(found.items()))


POLICY_SPECS = st.builds(
    PolicySpec,
    _pairs(KEYS, _tuples(SOME_TEXT)),
    _pairs(_KINDS, APPROVALS),
    _pairs(_KINDS, SOME_TEXT),
    _tuples(st.sampled_from(REQUIRABLE)),
)
METADATA = st.builds(
    Metadata,
    KEYS,
    owner=WORDS,
    description=WORDS,
    tags=_tuples(SOME_TEXT),
    expires=st.one_of(st.just(""), st.dates().map(str)),
)
COHORT_SPECS = st.builds(
    CohortSpec, UNIT_KINDS, _tuples(SOME_TEXT), _tuples(SOME_TEXT), st.one_of(st.none(), CONDITIONS)
)
FLAGS = st.builds(Resource, st.just(Kind.FLAG), METADATA, flag_specs())
COHORTS = st.builds(Resource, st.just(Kind.COHORT), METADATA, COHORT_SPECS)
SPECS = {
    Kind.METRIC: METRIC_SPECS,
    Kind.PIPELINE: PIPELINE_SPECS,
    Kind.ROLLOUT: ROLLOUT_SPECS,
    Kind.FREEZE: FREEZE_SPECS,
    Kind.CHANNEL: CHANNEL_SPECS,
    Kind.POLICY: POLICY_SPECS,
}
OTHERS = st.one_of(*(st.builds(Resource, st.just(kind), METADATA, specs) for kind, specs in SPECS.items()))
RESOURCES = st.one_of(FLAGS, COHORTS, OTHERS)
