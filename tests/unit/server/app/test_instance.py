"""One process, and how it stands to a revision."""

from __future__ import annotations

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Greeting
from rollout_server.app.instance import Certificate, Instance, InstanceState
from tests.small_instances import World


def test_a_position_of_another_epoch_is_not_in_force() -> None:
    world = World()
    world.join(held=Position("e0", 99, b""))
    assert world.states() == [InstanceState.STRAGGLING]


def test_names_are_for_people() -> None:
    """A relay is named where the process is behind one; whatever is missing is left out."""
    greeting = Greeting("i", "1", (), "web", "h", 7)
    assert Instance(greeting, "t", 0, 0, 0).name == "web@h (pid 7)"
    assert Instance(greeting, "t", 0, 0, 0, behind="eu", replica="b").name == "web@h (pid 7) behind eu"
    assert Instance(Greeting("i", "1", (), "", "", 7), "t", 0, 0, 0).name == "unnamed (pid 7)"


def test_a_certificate_is_complete_when_nobody_is_left_out() -> None:
    """Neither a process by name, nor one of which nothing is known, nor a server that was not heard."""
    assert Certificate(5, in_force=("web",)).is_complete
    for missing in (
        Certificate(5, quarantined=("web",)),
        Certificate(5, straggling=("web",)),
        Certificate(5, unreachable=("web",)),
        Certificate(5, forgotten=1),
        Certificate(5, unheard=("b",)),
    ):
        assert not missing.is_complete
