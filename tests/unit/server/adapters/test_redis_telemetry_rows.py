"""Sums and hashes go to Redis and back without losing a bit."""

from __future__ import annotations

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters.redis_telemetry_rows import (
    commit_arguments,
    read_bound,
    read_cell,
    run_name,
    telemetry_key,
    write_bound,
    write_cell,
)
from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell
from rollout_server.domain.telemetry import Outcome, RunId
from tests.telemetry_world import RUN, intake, place

_COUNT = st.integers(0, 1 << 53)
_SUM = st.floats(allow_nan=False, allow_infinity=False)


@given(
    _COUNT,
    _SUM,
    _SUM,
    st.dictionaries(st.integers(-2_000, 2_000), _COUNT, max_size=20),
    st.one_of(
        st.just(((), ())),
        st.tuples(
            st.lists(_COUNT, min_size=HASH_BUCKETS, max_size=HASH_BUCKETS).map(tuple),
            st.lists(_SUM, min_size=HASH_BUCKETS, max_size=HASH_BUCKETS).map(tuple),
        ),
    ),
)
def test_a_cell_is_read_as_it_was_written(
    n: int, x: float, xx: float, bins: dict[int, int], buckets: tuple[tuple[int, ...], tuple[float, ...]]
) -> None:
    """Every count up to 2^53 and every finite double."""
    cell = Cell(n, x, xx, tuple(sorted(bins.items())), *buckets)
    assert read_cell(write_cell(cell)) == cell


@given(st.integers(1, EVERYTHING))
def test_a_bound_is_read_as_it_was_written(bound: int) -> None:
    """The bound that keeps everything has one bit more than a hash."""
    assert read_bound(write_bound(bound)) == bound


def test_hashes_and_values_travel_as_bytes() -> None:
    """64 bits are more than a number of Lua's holds; a metric without bins says so."""
    outcomes = ((place(), 7, "orders", (Outcome((1 << 64) - 1, 0.5),)),)
    words = commit_arguments(intake(outcomes=outcomes, units=((place(), 7, (1,), (2, 3)),)))
    packed = next(word for word in words if isinstance(word, bytes) and len(word) == 24)
    assert packed[:8] == b"\xff" * 8
    value, bin_ = struct.unpack("<dd", packed[8:])
    assert (value, math.isnan(bin_)) == (0.5, True)
    assert words[-4:] == [b"\0" * 7 + b"\1", b"\0" * 7 + b"\2" + b"\0" * 7 + b"\3", 0, 0]


def test_names_tell_runs_and_environments_apart() -> None:
    """A rollout's runs, and the same rollout elsewhere."""
    assert run_name(RUN) != run_name(RunId(RUN.rollout, RUN.run + 1))
    assert telemetry_key("a") == "rollout:{a}:telemetry"
