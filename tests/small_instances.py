"""The processes of an environment at a position that a test sets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Acknowledgement, Greeting, Quarantined
from rollout_server.app.instance import InstanceState, InstanceView
from rollout_server.app.instances import Instances
from rollout_server.app.record_log import Mark
from tests.doubles.fake_clock import FakeClock

MINE = "t-1"


@dataclass
class World:
    """An environment at a position that the test sets."""

    instances_max: int = 100
    clock: FakeClock = field(default_factory=FakeClock)
    position: Position = field(default_factory=lambda: Position("e1", 5, b"d5"))
    marks: dict[int, Mark] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.instances = Instances(
            self.clock, lambda: self.position, self.marks.get, lambda: self.needed, self.instances_max
        )

    def commit(self) -> int:
        revision = self.position.revision + 1
        self.position = replace(self.position, revision=revision)
        self.marks[revision] = Mark(b"", b"records", self.clock.now_ms())
        return revision

    def join(self, instance_id: str = "i-1", token_id: str = MINE, **said: object) -> object:
        about = {"sdk_version": "1.0", "capabilities": ("op:equals",), "service": "web", "host": "h", "pid": 7, **said}
        return self.instances.join(Greeting(instance_id, **about), token_id)  # type: ignore[arg-type]

    def acknowledge(self, stream: object, revision: int = 0, *flags: str, digest: bytes = b"records") -> int:
        position = replace(self.position, revision=revision or self.position.revision)
        refused = tuple(Quarantined(flag, 1, "cannot") for flag in flags)
        return self.instances.acknowledge(stream, Acknowledgement(position, digest, refused))

    def view(self) -> InstanceView:
        (view,) = self.instances.views()
        return view

    def states(self) -> list[InstanceState]:
        return [view.state for view in self.instances.views()]
