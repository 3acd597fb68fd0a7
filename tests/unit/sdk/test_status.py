"""How one client stands."""

from rollout_sdk import Status
from rollout_sdk.testing import fixed


def test_an_offline_client_is_ready_fresh_and_not_connected() -> None:
    """A health check can tell these three apart."""
    status = fixed({"a": True}).status()
    assert isinstance(status, Status)
    assert (status.ready, status.stale, status.connected) == (True, False, False)
    assert status.refused == ""
    assert (status.epoch, status.revision, status.quarantined, status.overridden) == ("testing", 1, {}, ())
    assert status.confirmed_ms_ago is None
    assert len(status.instance_id) == 32
