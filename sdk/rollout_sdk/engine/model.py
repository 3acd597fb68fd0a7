"""What a ruleset is made of, as plain frozen data.

Every name is a word of the field (docs/words.md). Shares are integers in parts per million, never floats. The order
of tuples is meaning: rules are tried in order, the first weight of a split owns the lowest buckets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from rollout_sdk.engine.metrics import MetricDeclaration
from rollout_sdk.engine.origin import Origin as Origin  # noqa: PLC0414 - a word of decisions: imported from here

PPM = 1_000_000
"""One whole, in parts per million."""

DEFAULT_UNIT = "user"
LAW_1 = 1

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value as JSON knows it. Floats are finite."""


class ValueType(Enum):
    """The type of every variant of one flag; a decision never carries another."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    JSON = "json"


class OnMissing(Enum):
    """What a leaf says over a missing attribute or a value of the wrong type."""

    UNKNOWN = "unknown"
    MATCH = "match"
    NO_MATCH = "no_match"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One attribute, or one unit's key, compared by one operator.

    Attributes:
        subject: attribute path, or a kind of unit where `is_unit`.
        operator: a name of `conditions.OPERATORS`.
        operand: shaped as in files; lists are tuples here, so that a leaf can be hashed.
    """

    subject: str
    operator: str
    operand: Operand
    is_unit: bool = False
    ignore_case: bool = False
    on_missing: OnMissing = OnMissing.UNKNOWN


Operand: TypeAlias = "bool | int | float | str | tuple[Operand, ...]"


@dataclass(frozen=True, slots=True)
class InCohort:
    """True for members of the cohort with this key."""

    cohort: str


@dataclass(frozen=True, slots=True)
class All:
    """Kleene conjunction; empty is true."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Kleene disjunction; empty is false."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Kleene negation: unknown stays unknown."""

    condition: Condition


Condition: TypeAlias = "Leaf | InCohort | All | Any | Not"


@dataclass(frozen=True, slots=True)
class Variant:
    """A named value of a flag."""

    key: str
    value: Json = field(hash=False)


@dataclass(frozen=True, slots=True)
class Serve:
    """Everybody who matches gets this variant."""

    variant: str


@dataclass(frozen=True, slots=True)
class Weight:
    """A variant's share of a split."""

    variant: str
    share_ppm: int


@dataclass(frozen=True, slots=True)
class Split:
    """Weights over variants, decided by a unit's bucket; they add up to `PPM`."""

    weights: tuple[Weight, ...]
    law: int = LAW_1


@dataclass(frozen=True, slots=True)
class ByRollout:
    """The rollout with this key answers everybody who matches: `to` where exposed, else `from`."""

    rollout: str


Outcome: TypeAlias = "Serve | Split | ByRollout"


@dataclass(frozen=True, slots=True)
class Rule:
    """The first rule whose condition is true answers; a split passes contexts without the unit on, a rollout nobody.

    Attributes:
        when: None holds for everybody.
    """

    id: str
    outcome: Outcome
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """A prerequisite: `flag` must decide one of `variants` for the same context, else off."""

    flag: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Units that get a variant by name. A unit is in one target at most."""

    variant: str
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """All that decides for one flag, in the decision order of DESIGN section 5.

    Attributes:
        unit: kind of unit that targets and splits look at.
        salt: 16 characters, `bucketing.SALT_LENGTH`; frozen when the flag is created.
        never: true or unknown in any of these serves `off`.
    """

    key: str
    type: ValueType
    variants: tuple[Variant, ...]
    off: str
    default: str
    salt: str
    unit: str = DEFAULT_UNIT
    never: tuple[Condition, ...] = ()
    requires: tuple[Requirement, ...] = ()
    targets: tuple[Target, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Cohort:
    """A named set of units: not excluded, and listed or meeting the condition.

    Attributes:
        include, exclude: listed keys of kind `unit`, as compact sets.
        when: None adds nobody beyond the listed.
    """

    key: str
    include: KeySet
    exclude: KeySet
    unit: str = DEFAULT_UNIT
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class KeySet:
    """A set of unit keys as sorted, distinct 64-bit hashes in content-addressed chunks.

    Built and asked only through `cohorts` (docs/adr/0004).

    Attributes:
        count: hashes in all chunks.
        chunks: ascending; the hashes of one chunk are below those of the next.
    """

    count: int = 0
    chunks: tuple[Chunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most `cohorts.CHUNK_HASHES` big-endian 64-bit hashes, ascending.

    Attributes:
        digest: SHA-256 of `data`.
    """

    digest: bytes
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FlagState:
    """What verbs say of a flag, apart from its rules."""

    flag: str
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """One stage that a run has entered: whom it reaches, and how many of them.

    Attributes:
        share_ppm: of the audience's units; a ramp step raises it.
        audience: None holds for everybody.
    """

    stage: str
    share_ppm: int
    audience: Condition | None = None


@dataclass(frozen=True, slots=True)
class RolloutState:
    """Where a rollout stands, apart from the rules that name it: `exposure` says what follows.

    Attributes:
        run: number of the pass, from 1; 0 before the first.
        unit: kind of unit whose bucket decides.
        salt: of the rollout, never of the run, so that a new run exposes the same units first.
        reaches: of the stages entered, in that order; none exposes nobody: not started, rolled back, cancelled.
        never: true or unknown in any of these keeps `from_variant`, and belongs to no arm.
        allocation: period of the run in which every unit's reach stands still.
        stage: the one entered last.
        strata: kinds of unit or attribute paths that outcomes are told apart by.
    """

    rollout: str
    flag: str
    run: int
    from_variant: str
    to_variant: str
    salt: str
    unit: str = DEFAULT_UNIT
    law: int = LAW_1
    reaches: tuple[Reach, ...] = ()
    never: tuple[Condition, ...] = ()
    allocation: int = 0
    stage: str = ""
    strata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """A point in one environment's history.

    Attributes:
        digest: head of the journal's hash chain at `revision`, 32 bytes.
    """

    epoch: str
    revision: int
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything an SDK needs to decide, at one position.

    Attributes:
        flags, cohorts, states: by key. A state may name a flag that is not here: it is then without effect.
        versions: flag key to the revision that last changed the flag, a decision's `flag_version`.
        rollouts: by the rollout's key. A rollout that a rule names must be here, started or not.
        metrics: what processes may record, by key. Decides nothing.
    """

    position: Position
    flags: Mapping[str, Flag]
    cohorts: Mapping[str, Cohort]
    states: Mapping[str, FlagState]
    versions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    rollouts: Mapping[str, RolloutState] = field(default_factory=lambda: MappingProxyType({}))
    metrics: Mapping[str, MetricDeclaration] = field(default_factory=lambda: MappingProxyType({}))


class Reason(Enum):
    """Why a decision is what it is."""

    UNKNOWN_FLAG = "unknown_flag"
    KILLED = "killed"
    NEVER = "never"
    REQUIREMENT = "requirement"
    TARGET = "target"
    RULE = "rule"
    SPLIT = "split"
    ROLLOUT = "rollout"
    DEFAULT = "default"
    NO_UNIT = "no_unit"
    OVERRIDE = "override"
    NOT_READY = "not_ready"
    WRONG_TYPE = "wrong_type"
    ERROR = "error"


class Arm(Enum):
    """The two sides compared: exposed, and reached but not exposed. Who is in neither is not counted."""

    CANDIDATE = "candidate"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one flag serves one context, and why. Interned: the same answer is the same object.

    Attributes:
        variant: None where the caller's default was served.
        rule: id of the rule that answered, else None.
        flag_version: revision that last changed the flag; 0 for an unknown flag.
        rollout: key of the rollout that answered, else None; only then the fields after it say anything.
        run: 0 before the first.
        stage: the one that gives the unit its reach. Where nothing reaches it: None, `arm` too, and `reach_ppm` is 0.
    """

    flag: str
    value: Json
    reason: Reason
    variant: str | None
    origin: Origin
    rule: str | None = None
    flag_version: int = 0
    rollout: str | None = None
    run: int = 0
    stage: str | None = None
    arm: Arm | None = None
    allocation: int = 0
    reach_ppm: int = 0

    @property
    def epoch(self) -> str:
        """Identity of the history that decided."""
        return self.origin.epoch

    @property
    def revision(self) -> int:
        """Revision of the ruleset that decided."""
        return self.origin.revision

    @property
    def stale(self) -> bool:
        """Whether the ruleset may be out of date."""
        return self.origin.stale

    @property
    def confirmed_ms_ago(self) -> int | None:
        """Milliseconds since a server last confirmed the ruleset, read from the clock now; None if nobody knows."""
        return self.origin.confirmed_ms_ago
