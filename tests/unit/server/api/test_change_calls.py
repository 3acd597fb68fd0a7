"""Calls about changes: each is handed to its verb. The calls themselves are in tests/e2e/test_approvals.py."""

from __future__ import annotations

from rollout_server.api.change_calls import ChangeCalls
from rollout_server.api.control import Control


def test_the_control_service_answers_them() -> None:
    """None is left to the generated base, which answers that it is not implemented."""
    for name in ("ListChanges", "GetChange", "ApproveChange", "RejectChange"):
        assert getattr(Control, name) is getattr(ChangeCalls, name)
