"""Reports are upstream's or their process's, and never the relay's."""

from __future__ import annotations

import pytest

from rollout_server.app import pass_on_reports
from rollout_server.app.pass_on_reports import PassOnReports
from rollout_server.errors import Forbidden, InvalidInput, RolloutError, Unavailable
from tests.doubles.scripted_upstream import ScriptedUpstream


async def test_a_report_goes_on_under_its_own_token() -> None:
    """Word for word, and the answer is upstream's."""
    upstream = ScriptedUpstream()
    reports = PassOnReports(upstream)
    assert await reports.take("rg_x", b"report") == b"taken"
    assert upstream.reports == [("rg_x", b"report")]
    assert (reports.passed, reports.put_off, reports.refused, reports.bytes_under_way) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("error", "counted"),
    [(Unavailable("upstream", "away"), (1, 0)), (Forbidden("revoked"), (0, 1)), (InvalidInput(()), (0, 1))],
)
async def test_what_upstream_does_not_take_its_process_hears(error: RolloutError, counted: tuple[int, int]) -> None:
    """It is told why, so that it keeps what can be sent again; and each is counted."""
    upstream = ScriptedUpstream()
    upstream.answer = error
    reports = PassOnReports(upstream)
    with pytest.raises(type(error)):
        await reports.take("rg_x", b"report")
    assert (reports.passed, reports.put_off, reports.refused) == (0, *counted)
    assert reports.bytes_under_way == 0


async def test_what_waits_for_upstream_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_on_reports, "BYTES_MAX", 5)
    reports = PassOnReports(ScriptedUpstream())
    with pytest.raises(Unavailable, match="too many"):
        await reports.take("rg_x", b"report")
    assert reports.put_off == 1
