"""Who obeys, and who is not known to."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position
from rollout_server.cli.certificate import Certificate, certify, name, unreachable

INSTANCES = st.builds(
    lambda revision, state: pb.Instance(in_force=Position(revision=revision), state=state),
    st.integers(0, 20),
    st.integers(0, 4),
)


def certified(revision: int, *instances: pb.Instance, **more: Any) -> Certificate:
    return certify(revision, pb.ListInstancesResponse(instances=instances, **more))


@given(st.lists(INSTANCES), st.integers(0, 20))
def test_complete_means_every_process_is_connected_and_at_the_revision(
    instances: list[pb.Instance], revision: int
) -> None:
    """No process is lost in the counting, and none counts twice."""
    certificate = certify(revision, pb.ListInstancesResponse(instances=instances))
    assert certificate.total == len(instances)
    reachable = (pb.INSTANCE_STATE_IN_FORCE, pb.INSTANCE_STATE_QUARANTINED, pb.INSTANCE_STATE_STRAGGLING)
    obeys = [item.state in reachable and item.in_force.revision >= revision for item in instances]
    assert len(certificate.obeying) == sum(obeys)
    assert certificate.is_complete is all(obeys)


def test_the_lag_is_known_only_when_all_are_at_that_very_revision() -> None:
    here = pb.Instance(in_force=Position(revision=3), state=pb.INSTANCE_STATE_IN_FORCE, lag_ms=8)
    joined = pb.Instance(in_force=Position(revision=3), state=pb.INSTANCE_STATE_IN_FORCE, lag_ms=-1)
    assert certified(3, here, here).last_lag_ms() == 8
    assert certified(3, here, joined).last_lag_ms() is None
    assert certified(2, here).last_lag_ms() is None
    assert certified(3).last_lag_ms() is None
    assert certified(3, here).data()["complete"] is True


def test_who_is_forgotten_or_unheard_leaves_no_certificate_complete() -> None:
    """Processes that nobody knows of may serve what was killed."""
    here = pb.Instance(in_force=Position(revision=3), state=pb.INSTANCE_STATE_IN_FORCE)
    assert certified(3, here).is_complete
    forgotten, unheard = certified(3, here, forgotten=2), certified(3, here, unheard=["server b: it is not heard now"])
    assert (forgotten.is_complete, forgotten.total) == (False, 3)
    assert (unheard.is_complete, unheard.total, unheard.data()["unheard"]) == (
        False,
        1,
        ["server b: it is not heard now"],
    )


def test_a_process_is_named_as_the_server_names_it() -> None:
    """Else nobody could find the row of one command in the answer of another (`Instance.name`)."""
    assert (
        name(pb.Instance(service="web", host="host-1", pid=7, behind="eu-west")) == "web@host-1 (pid 7) behind eu-west"
    )
    assert name(pb.Instance(host="host-1", pid=7)) == "unnamed@host-1 (pid 7)"
    assert name(pb.Instance(service="web")) == "web (pid 0)"


def test_what_a_process_had_is_not_made_up() -> None:
    """A server that was started since remembers who was there, and not where they stood."""
    item = pb.Instance(service="shop", host="web-3", pid=7, last_seen_at_ms=60_000)
    assert unreachable(item, 120_000) == "shop@web-3 (pid 7), last seen 1m ago"
    item.in_force.CopyFrom(Position(revision=14))
    assert unreachable(item, 120_000) == "shop@web-3 (pid 7), last seen 1m ago at revision 14"
