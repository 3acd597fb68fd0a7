"""`make bench-all`: the full tables, printed as they grow."""

from __future__ import annotations

import pytest

from benchmarks.guardrails.__main__ import main


@pytest.mark.bench
@pytest.mark.timeout(0)
def test_guardrails(capfd: pytest.CaptureFixture[str]) -> None:
    """Print false rollback rates and delays of thousands of runs; half an hour on two cores."""
    with capfd.disabled():
        print()
        main([])
