"""Rows: hashes with a sign, bounds with one bit too many, cells as text."""

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.log_histogram import bin_of
from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters.sqlite_telemetry_rows import (
    cell_of,
    read_bound,
    read_cell,
    signed,
    stored_bound,
    write_cell,
)
from rollout_server.domain.guardrails.data import Cell
from tests.telemetry_world import cell

HASHES = st.integers(0, EVERYTHING - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(HASHES, HASHES)
def test_hashes_keep_their_order(first: int, second: int) -> None:
    """As SQLite compares them."""
    assert (signed(first) < signed(second)) is (first < second)
    assert -(1 << 63) <= signed(first) < 1 << 63


@given(st.integers(1, EVERYTHING), HASHES)
def test_bounds_keep_whom_they_keep(bound: int, unit: int) -> None:
    """One that keeps everything keeps the highest hash, too; so does the next lower one that is ever used."""
    assert read_bound(stored_bound(bound)) == (bound if bound < EVERYTHING - 1 else EVERYTHING)
    if bound < EVERYTHING:
        assert (signed(unit) < stored_bound(bound)) is (unit < bound)


@given(
    st.integers(0, 1 << 60),
    FLOATS,
    FLOATS,
    st.lists(st.tuples(st.integers(-1_024, 1_024), st.integers(1, 1 << 40))),
    st.lists(st.integers(0, 9), min_size=64, max_size=64),
    st.lists(FLOATS, min_size=64, max_size=64),
)
def test_cells_come_back_as_they_were(
    n: int, x: float, xx: float, bins: list[tuple[int, int]], ns: list[int], xs: list[float]
) -> None:
    """Bit for bit."""
    for made in (Cell(n, x, xx, tuple(bins)), Cell(n, x, xx, tuple(bins), tuple(ns), tuple(xs))):
        assert read_cell(write_cell(made)) == made
    assert read_cell(write_cell(Cell())) == Cell()


@given(st.lists(st.integers(-9, 9).map(float), max_size=20))
def test_outcomes_that_count_once_add_up(values: list[float]) -> None:
    """As events do, but without classes of users."""
    whole = sum((cell_of([value], has_bins=True) for value in values), Cell())
    assert cell_of(values, has_bins=True) == whole
    assert whole.n == len(values)
    assert sum(count for _, count in whole.histogram) == len(values)
    assert cell_of(values, has_bins=False).histogram == ()
    assert bin_of(1.0) == 0
    assert cell().n == 1
