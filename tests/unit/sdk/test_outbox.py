"""Windows that wait for the server. No clock, no network: an hour passes in a moment."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk import outbox as module
from rollout_sdk.engine.model import Arm
from rollout_sdk.outbox import CELLS_MAX, REPORT_CELLS_MAX, WINDOWS_MAX, Outbox, cut
from rollout_sdk.sums import ArmKey, ArmSums, EventSums, LossReason, RunKey, Window

RUN = RunKey("launch", 1)


def window(closed_at_s: float, count: int = 1, arms: int = 1, first: int = 0) -> Window:
    """A window with this many events in each of its arms."""
    made = Window(closed_at_s)
    for number in range(first, first + arms):
        sums = made.runs.setdefault(RUN, {}).setdefault(ArmKey(number, 1, "", Arm.CONTROL), ArmSums())
        for _ in range(count):
            sums.events.setdefault("errors", EventSums()).add(0, 1.0, None)
    return made


def events(windows: object) -> int:
    return sum(
        sums.events["errors"].n.total()
        for one in windows  # type: ignore[attr-defined] # windows
        for arms in one.runs.values()
        for sums in arms.values()
    )


def test_one_report_is_under_way_until_it_is_acknowledged() -> None:
    """The same report is sent again, whatever was counted meanwhile."""
    outbox = Outbox()
    assert outbox.next_report(is_wanted=False) is None
    outbox.put(window(1))
    first = outbox.next_report(is_wanted=False)
    assert first is not None
    outbox.put(window(2))
    assert outbox.next_report(is_wanted=True) is first
    outbox.acknowledge(99)
    assert outbox.next_report(is_wanted=True) is first
    outbox.acknowledge(first.sequence)
    second = outbox.next_report(is_wanted=False)
    assert second is not None
    assert (first.sequence, second.sequence) == (1, 2)
    assert [one.closed_at_s for one in second.windows] == [2]
    outbox.acknowledge(2)
    assert outbox.is_empty


def test_a_process_with_nothing_to_say_can_still_say_that_it_lives() -> None:
    """An empty report has a sequence of its own."""
    report = Outbox().next_report(is_wanted=True)
    assert report is not None
    assert (report.sequence, report.windows) == (1, ())


def test_an_hour_without_a_server_costs_bounded_memory_and_loses_nothing_that_fits() -> None:
    """720 windows of five seconds become at most 120, with every event."""
    outbox = Outbox()
    for number in range(720):
        outbox.put(window(5.0 * number, count=3))
    assert len(outbox._waiting) <= WINDOWS_MAX
    sent = 0
    while (report := outbox.next_report(is_wanted=False)) is not None:
        sent += events(report.windows)
        assert report.losses == ()
        outbox.acknowledge(report.sequence)
    assert sent == 720 * 3


def test_what_does_not_fit_is_lost_oldest_first_and_counted() -> None:
    """However many combinations a caller invents."""
    outbox = Outbox()
    for number in range(100):
        outbox.put(window(5.0 * number, count=2, arms=200, first=200 * number))
        assert sum(each.cells for each in outbox._waiting) <= CELLS_MAX
    sent, lost = 0, Counter[LossReason]()
    while (report := outbox.next_report(is_wanted=False)) is not None:
        sent += events(report.windows)
        lost.update(dict(report.losses))
        outbox.acknowledge(report.sequence)
    assert lost[LossReason.TOO_OLD] > 0
    assert sent + lost[LossReason.TOO_OLD] == 100 * 200 * 2


def test_what_is_too_old_to_be_judged_goes() -> None:
    """It is counted as lost."""
    outbox = Outbox()
    outbox.put(window(0))
    outbox.put(window(module.AGE_MAX_S + 1))
    report = outbox.next_report(is_wanted=False)
    assert report is not None
    assert ([one.closed_at_s for one in report.windows], report.losses) == (
        [module.AGE_MAX_S + 1],
        ((LossReason.TOO_OLD, 1),),
    )


def test_a_refused_report_is_lost_and_the_next_goes_on() -> None:
    """A server that cannot read one report must not be sent it for ever."""
    outbox = Outbox()
    outbox.put(window(1, count=4))
    first = outbox.next_report(is_wanted=False)
    assert first is not None
    outbox.refuse(first.sequence)
    second = outbox.next_report(is_wanted=False)
    assert second is not None
    assert (second.sequence, second.windows, second.losses) == (2, (), ((LossReason.REFUSED, 4),))


@given(st.integers(1, 30), st.integers(1, 80), st.integers(1, 80))
def test_cutting_loses_nothing(arms: int, cells: int, units: int) -> None:
    """Both halves add up to the whole, and the first keeps within bounds unless one arm alone does not fit."""
    whole = window(1, count=2, arms=arms)
    for number, sums in enumerate(whole.runs[RUN].values()):
        sums.exposed.extend(range(number))
    whole.bounds[RUN, ""] = 5
    head, rest = cut(whole, cells, units)
    parts = [head] if rest is None else [head, rest]
    assert events(parts) == 2 * arms
    assert sum(part.units for part in parts) == whole.units
    assert all(part.bounds == {(RUN, ""): 5} for part in parts)
    assert len(head.runs[RUN]) == 1 or (head.cells <= cells and head.units <= units)


def test_reports_are_small() -> None:
    """A large window travels in several."""
    outbox = Outbox()
    outbox.put(window(1, arms=1_000))
    sizes = []
    while (report := outbox.next_report(is_wanted=False)) is not None:
        sizes.append(sum(one.cells for one in report.windows))
        outbox.acknowledge(report.sequence)
    assert max(sizes) <= REPORT_CELLS_MAX
    assert sum(sizes) == 2_000
