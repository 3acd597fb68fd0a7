"""Reports as strangers may send them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.log_histogram import BIN_MAX, BIN_MIN
from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING
from rollout_sdk.sums import ArmKey, ArmSums, EventSums, LossReason, RunKey, Window
from rollout_sdk.wire.telemetry import write_report
from rollout_sdk.wire.v1 import telemetry_pb2 as pb
from rollout_server.api import convert_telemetry as module
from rollout_server.api.convert_telemetry import report_of
from rollout_server.domain.telemetry import RunId
from rollout_server.errors import InvalidInput

UNITS = st.integers(0, EVERYTHING - 1)
VALUES = st.floats(-1e15, 1e15)
EVENTS = st.lists(st.tuples(st.integers(0, 63), VALUES, st.integers(BIN_MIN, BIN_MAX)), min_size=1, max_size=20)


@given(
    EVENTS, st.lists(st.tuples(UNITS, VALUES), max_size=5), st.lists(UNITS), st.integers(1, EVERYTHING), st.booleans()
)
def test_reading_undoes_what_processes_write(
    events: list[tuple[int, float, int]],
    outcomes: list[tuple[int, float]],
    units: list[int],
    bound: int,
    recomputed: bool,  # noqa: FBT001 - drawn
) -> None:
    """Every number arrives where it was counted."""
    sums = EventSums()
    for bucket, value, bin_ in events:
        sums.add(bucket, value, bin_)
    arm = ArmSums({"latency": sums}, {"orders": outcomes}, units, units[:1])
    run = RunKey("launch", 3)
    key = ArmKey(2, 250_000, "country=KR", Arm.CONTROL, recomputed)
    window = Window(1.0, {run: {key: arm}}, {(run, ""): bound}, Counter({"latency": 2}))
    report = report_of(write_report("i-1", 9, [window], [(LossReason.NO_ROOM, 4)], 2.0))
    assert (report.instance_id, report.sequence, report.losses) == ("i-1", 9, (("no_room", 4),))
    (read,) = report.windows
    assert (read.age_ms, read.unattributed, read.bounds) == (
        1_000,
        (("latency", 2),),
        ((RunId("launch", 3), "", bound),),
    )
    (found,) = read.arms
    assert found.place == (RunId("launch", 3), 2, 250_000, "country=KR", Arm.CONTROL)
    assert found.recomputed is recomputed
    ((metric, cell),) = found.events
    assert (metric, cell.n, cell.xx) == ("latency", len(events), sums.xx)
    assert {bucket: (cell.bucket_n[bucket], cell.bucket_x[bucket]) for bucket in sums.n} == {
        bucket: (count, sums.x[bucket]) for bucket, count in sums.n.items()
    }
    assert cell.x == sum(cell.bucket_x)
    assert sum(count for _, count in cell.histogram) == len(events)
    assert found.outcomes == (("orders", tuple(outcomes)),)
    assert (found.exposed, found.reporting) == (tuple(units), tuple(units[:1]))


def good() -> pb.ReportRequest:
    sums = EventSums()
    sums.add(3, 0.5, 1)
    sums.add(4, 0.5, 2)
    arm = ArmSums({"latency": sums}, {"orders": [(1, 1.0)]}, [1], [1])
    run = RunKey("launch", 1)
    key = ArmKey(1, 1, "", Arm.CONTROL)
    return write_report("i", 1, [Window(0, {run: {key: arm}}, {(run, ""): 5}, Counter({"latency": 1}))], [], 0)


def events(request: pb.ReportRequest) -> pb.EventSums:
    return request.windows[0].runs[0].arms[0].events[0]


def arm(request: pb.ReportRequest) -> pb.ArmSums:
    return request.windows[0].runs[0].arms[0]


BAD: list[Callable[[pb.ReportRequest], object]] = [
    lambda r: setattr(r, "instance_id", ""),
    lambda r: setattr(r, "instance_id", "x" * 65),
    lambda r: setattr(r, "instance_id", "a\nb"),
    lambda r: setattr(r, "sequence", 0),
    lambda r: setattr(r, "sequence", 1 << 63),
    lambda r: r.windows.extend([pb.SumsWindow()] * module.WINDOWS_MAX),
    lambda r: setattr(arm(r), "reach_ppm", 1_000_001),
    lambda r: setattr(arm(r), "arm", 0),
    lambda r: setattr(arm(r), "stratum", "x" * 65),
    lambda r: setattr(arm(r), "stratum", "a\x00"),
    lambda r: setattr(r.windows[0].runs[0], "rollout", ""),
    lambda r: setattr(r.windows[0].runs[0], "rollout", "x" * 129),
    lambda r: setattr(events(r), "metric", ""),
    lambda r: setattr(events(r), "xx", float("nan")),
    lambda r: setattr(events(r), "xx", float("inf")),
    lambda r: events(r).buckets.append(5),
    lambda r: events(r).buckets.__setitem__(1, 64),
    lambda r: events(r).buckets.__setitem__(1, 3),
    lambda r: events(r).bucket_n.__setitem__(0, 1 << 60),
    lambda r: events(r).bucket_x.__setitem__(0, float("nan")),
    lambda r: events(r).bins.__setitem__(1, BIN_MAX + 1),
    lambda r: events(r).bins.__setitem__(1, 1),
    lambda r: events(r).bin_n.__setitem__(1, 7),
    lambda r: arm(r).outcomes[0].units.append(7),
    lambda r: arm(r).outcomes[0].values.__setitem__(0, float("inf")),
    lambda r: setattr(r.windows[0].unattributed[0], "metric", "x" * 129),
    lambda r: setattr(r.windows[0].unattributed[0], "count", 1 << 60),
]


@pytest.mark.parametrize("spoil", BAD)
def test_what_is_out_of_bounds_is_refused_whole(spoil: Callable[[pb.ReportRequest], object]) -> None:
    """Nothing of it is used; the place is named."""
    request = good()
    report_of(request)
    spoil(request)
    with pytest.raises(InvalidInput) as refused:
        report_of(request)
    assert refused.value.problems[0].path


def test_reports_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms, sums and units, each over the whole report."""
    for limit in ("ARMS_MAX", "SUMS_MAX", "UNITS_MAX"):
        with monkeypatch.context() as patch:
            patch.setattr(module, limit, 0)
            with pytest.raises(InvalidInput):
                report_of(good())


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(data: bytes) -> None:
    """They are refused, or read."""
    request = pb.ReportRequest()
    try:
        request.ParseFromString(data)
    except Exception:  # noqa: BLE001 - the door's business
        return
    try:
        report_of(request)
    except InvalidInput:
        return
