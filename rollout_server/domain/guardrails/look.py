"""What the judge is told at one look, besides the sums."""

from __future__ import annotations

from dataclasses import dataclass

from rollout_server.domain.guardrails.sample_ratio import RatioState
from rollout_server.domain.guardrails.verdict import Reason

ALPHA = 0.01  # of a false alarm per run
WINDOW_MS = 60_000


@dataclass(frozen=True, slots=True)
class Feed:
    """How one metric's data came in, up to the watermark.

    Attributes:
        expected: instances (or for Prometheus, arms) that should have reported.
        reporting: those that did, even if they had nothing to count.
        fault: what is wrong with the source, one of the reasons for `blind`; None when nothing is.
        detail: of the fault, as it is shown; short, and nothing secret in it.
    """

    expected: int = 1
    reporting: int = 1
    fault: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a run.

    Attributes:
        stage: name of the current stage; `healthy` starts again with each.
        minimum_units: exposed units that each arm must have before anything is healthy.
        passed: last window that the watermark has passed; one without any sums is quiet. None where every window has
            sums, empty or not.
        expects_control: some reach of the present stage leaves units unexposed: where none was seen yet, it is waited
            for, and nothing is unjudged.
        unit: kind of the flag's unit, for sentences.
        ratio: the sample ratio after the same windows.
    """

    run: int
    stage: str
    ratio: RatioState
    feed: Feed = Feed()
    minimum_units: int = 0
    passed: int | None = None
    expects_control: bool = False
    unit: str = "user"
    window_ms: int = WINDOW_MS
    alpha: float = ALPHA
