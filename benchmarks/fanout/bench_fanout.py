"""`make bench-all`: how far one server reaches."""

from __future__ import annotations

import pytest

from benchmarks.fanout.__main__ import main


@pytest.mark.bench
@pytest.mark.timeout(0)
def test_fanout(capfd: pytest.CaptureFixture[str]) -> None:
    """Print a change's way to 1,000 and 10,000 streams, their memory, and a storm; four minutes on two cores."""
    with capfd.disabled():
        print()
        main([])
