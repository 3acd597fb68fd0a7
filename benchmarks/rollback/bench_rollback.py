"""`make bench`: how long a rollback takes to reach everybody."""

from __future__ import annotations

import pytest

from benchmarks.rollback.__main__ import main


@pytest.mark.bench
@pytest.mark.timeout(0)
def test_rollback(capfd: pytest.CaptureFixture[str]) -> None:
    """Print p50 and p99 to the last of 1,000 streams, and through a crash of the server; four minutes on two cores."""
    with capfd.disabled():
        print()
        main([])
