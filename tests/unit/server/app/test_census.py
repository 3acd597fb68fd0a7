"""Reading who runs what."""

from __future__ import annotations

from rollout_server.app.instance import InstanceState
from tests.small_instances import World


def test_a_certificate_names_everybody_once() -> None:
    world = World()
    streams = [world.join(f"i-{n}", host=f"h{n}") for n in range(4)]
    revision = world.commit()
    world.acknowledge(streams[0], revision)
    world.acknowledge(streams[1], revision, "checkout")
    world.instances.disconnect(streams[3])
    certificate = world.instances.certificate(revision)
    assert certificate.in_force == ("web@h0 (pid 7)",)
    assert certificate.quarantined == ("web@h1 (pid 7)",)
    assert certificate.straggling == ("web@h2 (pid 7)",)
    assert certificate.unreachable == ("web@h3 (pid 7)",)
    assert world.instances.counts() == dict.fromkeys(InstanceState, 1)
    summary = world.instances.summary()
    assert (summary.connected, summary.behind, summary.unreachable) == (3, 1, ("web@h3 (pid 7)",))


def test_who_cannot_evaluate_what_is_said_by_name() -> None:
    world = World()
    world.join("i-1", host="old", sdk_version="0.9")
    gone = world.join("i-2", host="gone")
    world.instances.disconnect(gone)
    told = world.instances.unsupported({"a": frozenset({"op:regex"}), "b": frozenset({"op:equals"})})
    assert told == ("web@old (pid 7), SDK 0.9, lacks op:regex, which a needs",)
    assert world.instances.unsupported({"b": frozenset({"op:equals"})}) == ()


def test_missing_capabilities_are_those_of_the_present_ruleset() -> None:
    world = World(needed=frozenset({"op:equals", "op:regex"}))
    world.join()
    assert world.view().missing_capabilities == ("op:regex",)
    world.needed = frozenset({"op:equals"})
    assert world.view().missing_capabilities == ()
