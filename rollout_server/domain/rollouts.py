"""What people write of staged rollouts: pipelines, rollouts, freezes, channels, policies. Specs only; no status.

Shares are parts per million, durations milliseconds, both exact integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition
    from rollout_server.domain.guardrails.spec import Guardrail


@dataclass(frozen=True, slots=True)
class Approval:
    """People who must agree: `count` different members of the group `group`."""

    group: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Exit:
    """What a stage needs besides its soak before the next may be entered.

    Attributes:
        exposed: at least this many units exposed in this run; 0 asks for none.
        is_healthy: every guardrail that blames must be healthy.
    """

    exposed: int = 0
    is_healthy: bool = False
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """An audience, a share of it, and how long to wait there.

    Attributes:
        audience: None is everyone.
        ramp_ms: the share grows in at most 20 equal steps over this time; 0 enters it at once.
        soak_ms: counted at full share only, while running and not blind.
    """

    name: str
    share_ppm: int
    audience: Condition | None = None
    ramp_ms: int = 0
    soak_ms: int = 0
    exit: Exit = Exit()
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """After the last stage: this share of everyone, guarded by absolute limits for `watch_ms`."""

    share_ppm: int = PPM
    watch_ms: int = 0


class AfterHold(Enum):
    """What follows when blindness lasts longer than the hold."""

    ROLLBACK = "rollback"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class OnBlind:
    """How long a run may be held because nothing is seen, and what then."""

    hold_ms: int
    then: AfterHold


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who is told, this long after something needs a person, unless it was acknowledged."""

    after_ms: int
    channel: str


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """A template: copied into a run when it starts, so that editing it changes no running rollout.

    Attributes:
        strata: unit kinds or attributes judged value by value, then added up; at most 64 values, the rest together.
    """

    stages: tuple[Stage, ...]
    guardrails: tuple[Guardrail, ...] = ()
    strata: tuple[str, ...] = ()
    finish: Finish = Finish()
    on_blind: OnBlind | None = None
    escalation: tuple[Escalation, ...] = ()


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """Moves a flag from one variant to another through a pipeline.

    Attributes:
        never: true or unknown in any of these keeps `from_variant`.
        start: RFC 3339 moment with a zone; empty waits for `rollout start`.
        after_environment: the same flag, at the same digest, must have completed its rollout there; empty asks nothing.
        salt: empty unless given in the file; the one in force is in the status.
    """

    flag: str
    from_variant: str
    to_variant: str
    pipeline: str
    never: tuple[Condition, ...] = ()
    start: str = ""
    after_environment: str = ""
    salt: str = ""


@dataclass(frozen=True, slots=True)
class FreezeSpec:
    """While it lasts nothing grows; rollback and kill go on.

    Attributes:
        start, end: RFC 3339 moments, or weekly "FRI 16:00" in `zone`.
        zone: IANA name; needed by weekly freezes.
        tags: flags that carry one of these; empty is all.
        exempt: groups or people who may grow nevertheless.
        stagger_ms: afterwards rollouts advance one by one, this far apart.
    """

    start: str
    end: str
    zone: str = ""
    tags: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    stagger_ms: int = 0


class Transport(Enum):
    """How a channel delivers."""

    WEBHOOK = "webhook"
    COMMAND = "command"
    APPRISE = "apprise"


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """Where notifications go.

    Attributes:
        target: URL of a webhook or of an apprise service, or the program of a command.
        arguments: of a command; notifications arrive on its standard input as JSON.
        secret_env: environment variable of the server that holds the signing secret.
    """

    transport: Transport
    target: str
    arguments: tuple[str, ...] = ()
    secret_env: str = ""


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What this environment demands of changes.

    Attributes:
        groups: name to people.
        approvals: kind of resource ("Flag") to who must approve a change of it that is not proven to shrink.
        names: kind to an RE2 pattern that its keys match whole.
        require: metadata that must be there: "owner", "expires", "description".
    """

    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    approvals: tuple[tuple[str, Approval], ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    require: tuple[str, ...] = ()


GUARDRAILS_MAX = 32
"""In one pipeline: each is judged at every tick."""
ESCALATION_STEPS_MAX = 16
