"""Resources: what people write (spec) and what verbs write (status), apart.

Cohorts keep their raw keys here; what SDKs receive of them is made in `ruleset`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rollout_sdk.engine.model import DEFAULT_UNIT, LAW_1

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition, Requirement, Rule, Target, ValueType, Variant


class Kind(Enum):
    """Kinds of resource. `TOKEN` is written by verbs only, never by files."""

    FLAG = "Flag"
    COHORT = "Cohort"
    TOKEN = "Token"


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


Spec: TypeAlias = "FlagSpec | CohortSpec | TokenSpec"
Status: TypeAlias = "FlagStatus | CohortStatus | TokenStatus"


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
