"""What of the connection can be said without one; tests/e2e/test_sdk_client.py has the rest."""

from rollout_sdk.settings import Settings
from rollout_sdk.stream import Stream


def test_a_stream_that_never_started_stops() -> None:
    """Closing an offline client waits for nobody."""
    assert Stream(Settings(), None).stop(0, goodbye=True)  # type: ignore[arg-type] # nobody is served
