"""Long work in slices."""

import time

import pytest

from rollout_sdk.slices import PAUSE_S, SLICE_S, Slices


def test_it_pauses_once_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first too: somebody waits for what was just put in force."""
    now_s = [100.0]
    slept: list[float] = []
    monkeypatch.setattr(time, "perf_counter", lambda: now_s[0])
    monkeypatch.setattr(time, "sleep", slept.append)
    breathe = Slices()
    for _ in range(3):
        breathe()
    assert slept == [PAUSE_S]
    now_s[0] += SLICE_S
    breathe()
    breathe()
    assert slept == [PAUSE_S, PAUSE_S]
