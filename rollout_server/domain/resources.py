"""Resources: what people write (spec) and what verbs write (status), apart.

Cohorts keep their raw keys here; what SDKs receive of them is made in `ruleset`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.model import DEFAULT_UNIT, LAW_1
from rollout_server.domain.machine import ENDED, Phase
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition, Requirement, Rule, Target, ValueType, Variant
    from rollout_server.domain.changes import ChangeSpec, ChangeStatus
    from rollout_server.domain.guardrails.spec import MetricSpec
    from rollout_server.domain.guardrails.verdict import Verdict
    from rollout_server.domain.machine import Run
    from rollout_server.domain.rollouts import ChannelSpec, FreezeSpec, PipelineSpec, PolicySpec


class Kind(Enum):
    """Kinds of resource. `TOKEN` and `CHANGE` are written by verbs only, never by files."""

    FLAG = "Flag"
    COHORT = "Cohort"
    METRIC = "Metric"
    PIPELINE = "Pipeline"
    ROLLOUT = "Rollout"
    FREEZE = "Freeze"
    CHANNEL = "Channel"
    POLICY = "Policy"
    TOKEN = "Token"  # noqa: S105 - a kind, no secret
    CHANGE = "Change"


Evidence: TypeAlias = "tuple[tuple[str, Verdict], ...]"
"""What is known of a run's guards: name and verdict."""

COMPLETED_MAX = 16
"""Completions of a rollout that are remembered, so that another environment may wait for one of them."""

PLANNED = tuple(kind for kind in Kind if kind not in {Kind.TOKEN, Kind.CHANGE})
"""Kinds that documents write and that pruning deletes."""


class ResourceId(NamedTuple):
    """What names a resource inside its environment."""

    kind: Kind
    key: str

    def __str__(self) -> str:
        """The form people type: "flag/checkout-v2"."""
        return f"{self.kind.value.lower()}/{self.key}"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who looks after a resource; nothing here decides.

    Attributes:
        expires: RFC 3339 date, "2027-06-01"; empty when it never does.
    """

    key: str
    owner: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    expires: str = ""


@dataclass(frozen=True, slots=True)
class FlagSpec:
    """What people write of a flag; the same words as `engine.model.Flag`.

    Attributes:
        salt: empty unless given in the file; the one in force is in the status.
    """

    type: ValueType
    variants: tuple[Variant, ...]
    off: str
    default: str
    unit: str = DEFAULT_UNIT
    never: tuple[Condition, ...] = ()
    requires: tuple[Requirement, ...] = ()
    targets: tuple[Target, ...] = ()
    rules: tuple[Rule, ...] = ()
    salt: str = ""


@dataclass(frozen=True, slots=True)
class FlagStatus:
    """What verbs write of a flag. Salt and law are set at creation and never recomputed."""

    salt: str
    law: int = LAW_1
    killed: bool = False


@dataclass(frozen=True, slots=True)
class CohortSpec:
    """What people write of a cohort: not excluded, and listed or meeting the condition."""

    unit: str = DEFAULT_UNIT
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class CohortStatus:
    """Cohorts have no verbs of their own yet."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A run reached its end.

    Attributes:
        variant: that everybody got.
        mark: of the flag's content when it began, as `Run.closure` has it.
    """

    variant: str
    mark: str


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """What verbs and the engine write of a rollout. Salt and law are set at creation and never recomputed.

    Attributes:
        run: the last one, going on or ended; earlier ones are in the journal. None before the first.
        verdicts: of each guard by name, as the last transition found them.
        rules: of the flag, which finishing wrote the final variant into; by id.
        completed: what earlier runs completed, the newest `COMPLETED_MAX`.
    """

    salt: str
    law: int = LAW_1
    run: Run | None = None
    verdicts: Evidence = ()
    rules: tuple[str, ...] = ()
    completed: tuple[Completion, ...] = ()

    @property
    def completions(self) -> tuple[Completion, ...]:
        """What runs completed, the last one included, as far as it is remembered; the newest comes last."""
        run = self.run
        if run is None or run.phase is not Phase.COMPLETED:
            return self.completed
        marks = dict(run.closure)
        last = Completion(run.to_variant, marks.get(str(ResourceId(Kind.FLAG, run.flag)), ""))
        return (*(one for one in self.completed if one != last), last)[-COMPLETED_MAX:]

    @property
    def runs(self) -> int:
        """How many runs were opened; the number of the last one."""
        return self.run.number if self.run else 0

    @property
    def phase(self) -> Phase | None:
        """What the last run is doing; None before the first."""
        return self.run.phase if self.run else None

    @property
    def is_active(self) -> bool:
        """Whether a run is open: scheduled, exposing or paused."""
        return self.run is not None and self.run.phase not in ENDED

    @property
    def is_completed(self) -> bool:
        """Whether the last run reached its end."""
        return self.phase is Phase.COMPLETED


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """A token as it is stored: never the secret.

    Attributes:
        hash: SHA-256 of the secret, lowercase hex.
        person: who answers for it.
        expires_at_ms: Unix epoch, UTC.
    """

    hash: str
    role: str
    person: str
    created_at_ms: int
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """0 while the token is not revoked."""

    revoked_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class NoStatus:
    """Of kinds that are nothing but what people write: metrics, pipelines, freezes, channels, policies."""


Written: TypeAlias = "MetricSpec | PipelineSpec | RolloutSpec | FreezeSpec | ChannelSpec | PolicySpec"
Spec: TypeAlias = "FlagSpec | CohortSpec | TokenSpec | ChangeSpec | Written"
Status: TypeAlias = "FlagStatus | CohortStatus | RolloutStatus | NoStatus | TokenStatus | ChangeStatus"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it stands.

    Attributes:
        status: None in a document that people wrote, always set in a state.
        version: revision that last changed it; 0 before its first commit.
    """

    kind: Kind
    metadata: Metadata
    spec: Spec
    status: Status | None = None
    version: int = 0

    @property
    def id(self) -> ResourceId:
        """What names it."""
        return ResourceId(self.kind, self.metadata.key)

    def at_version(self, version: int) -> Resource:
        """Return the same resource, changed last at this revision."""
        return replace(self, version=version)


def first_status(document: Resource) -> Status:
    """Return the status of a resource that is being created: salt and law are settled here, once."""
    match document.spec:
        case FlagSpec(salt=salt):
            return FlagStatus(salt=salt or salt16(document.metadata.key))
        case RolloutSpec(salt=salt):
            return RolloutStatus(salt=salt or salt16(document.metadata.key))
        case CohortSpec():
            return CohortStatus()
        case TokenSpec():
            return TokenStatus()
        case _:
            return NoStatus()
