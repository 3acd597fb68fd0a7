"""What the verbs want to know of the connected SDKs."""

from rollout_server.app.fleet import Fleet, FleetSummary, NoFleet


def test_nobody_connected_is_nobody_behind() -> None:
    """An environment without SDKs stops no publication."""
    fleet: Fleet = NoFleet()
    assert fleet.unsupported({"a": frozenset({"op:cidr"})}) == ()
    assert fleet.summary() == FleetSummary(0, 0, (), ())
