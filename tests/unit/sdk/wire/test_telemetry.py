"""Reports on the wire; the server's reader is asked to undo it in tests/unit/server/api/test_convert_telemetry.py."""

from collections import Counter

from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING
from rollout_sdk.sums import ArmKey, ArmSums, EventSums, LossReason, RunKey, Window
from rollout_sdk.wire.telemetry import read_answer, write_report
from rollout_sdk.wire.v1 import telemetry_pb2 as pb

RUN = RunKey("launch", 2)


def window() -> Window:
    events = EventSums()
    for bucket, value in ((63, 0.5), (0, 1.0), (63, 0.25)):
        events.add(bucket, value, int(value * 4))
    sums = ArmSums({"latency": events}, {"orders": [(5, 1.0), (EVERYTHING - 1, 0.0)]}, [1, 2], [2])
    key = ArmKey(3, 250_000, "country=KR", Arm.CANDIDATE, recomputed=True)
    return Window(10.0, {RUN: {key: sums}}, {(RUN, ""): EVERYTHING, (RUN, "orders"): 9}, Counter({"latency": 4}))


def test_a_report_says_what_was_counted() -> None:
    """Everything has its place, in an order that does not depend on who came first."""
    request = write_report("i-1", 7, [window()], [(LossReason.NO_ROOM, 3)], 12.5)
    assert (request.instance_id, request.sequence, request.losses[0].count) == ("i-1", 7, 3)
    (sent,) = request.windows
    assert (sent.age_ms, sent.unattributed[0].metric, sent.unattributed[0].count) == (2_500, "latency", 4)
    (run,) = sent.runs
    assert (run.rollout, run.run) == RUN
    assert {bound.metric: bound.bound for bound in run.bounds} == {"": 0, "orders": 9}
    (arm,) = run.arms
    assert (arm.allocation, arm.reach_ppm, arm.stratum, arm.arm) == (3, 250_000, "country=KR", pb.ARM_CANDIDATE)
    assert arm.recomputed
    assert (list(arm.exposed), list(arm.reporting)) == ([1, 2], [2])
    (events,) = arm.events
    assert (list(events.buckets), list(events.bucket_n), list(events.bucket_x)) == ([0, 63], [1, 2], [1.0, 0.75])
    assert (list(events.bins), list(events.bin_n), events.xx) == ([1, 2, 4], [1, 1, 1], 1.3125)
    assert list(arm.outcomes[0].units) == [5, EVERYTHING - 1]


def test_ages_grow_while_a_report_waits_and_nothing_else_changes() -> None:
    """By the monotonic clock of the process; they are never negative."""
    first = write_report("i", 1, [window()], [], 10.0)
    second = write_report("i", 1, [window()], [], 70.0)
    early = write_report("i", 1, [window()], [], 9.0)
    assert [each.windows[0].age_ms for each in (first, second, early)] == [0, 60_000, 0]
    for each in (first, second, early):
        each.windows[0].age_ms = 0
    assert first == second == early


def test_the_answer_is_read() -> None:
    """How often to come, and what was of no use."""
    assert read_answer(pb.ReportResponse(report_every_ms=250, dropped=2)) == (250, 2)
