"""Which units are kept, and that nothing but the unit decides it."""

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.bucketing import bucket, salt16, unit64
from rollout_sdk.engine.sample import (
    EVERYTHING,
    USER_BUCKETS,
    halved,
    kept_ppm,
    merge,
    run_key,
    unit_hash,
    user_bucket,
)

KEY = run_key("launch", salt16("launch"), 1)
HASHES = st.integers(0, EVERYTHING - 1)
SAMPLES = st.tuples(
    st.sampled_from([EVERYTHING >> shift for shift in range(4)]), st.dictionaries(HASHES, st.integers(1, 3))
)


def test_the_law_is_frozen() -> None:
    """Every process, of every release, hashes a unit to the same number."""
    assert KEY == 0x7B564F1C
    assert unit_hash(KEY, unit64("u-1").encode()) == 11_630_459_434_380_647_613


def test_runs_have_keys_of_their_own() -> None:
    """Nobody can follow a unit from one run to the next by its hash."""
    keys = {run_key(rollout, salt16("launch"), run) for rollout in ("launch", "other") for run in (1, 2)}
    keys.add(run_key("launch", salt16("other"), 1))
    assert len(keys) == 5


def test_hashes_are_independent_of_buckets() -> None:
    """Of the units below any bound, half lie in the lower half of the buckets; and classes of users hold all alike."""
    units = [unit64(f"u-{number}").encode() for number in range(20_000)]
    kept = [unit for unit in units if unit_hash(KEY, unit) < EVERYTHING >> 3]
    lower = sum(bucket(salt16("launch"), unit.decode()) < 500_000 for unit in kept)
    assert abs(len(kept) - 2_500) < 250
    assert abs(lower - len(kept) / 2) < 4 * (len(kept) / 4) ** 0.5
    classes = [user_bucket(unit_hash(KEY, unit)) for unit in kept]
    assert set(classes) == set(range(USER_BUCKETS))


@given(SAMPLES, SAMPLES, SAMPLES)
def test_merging_is_associative_and_commutative(
    a: tuple[int, dict[int, int]], b: tuple[int, dict[int, int]], c: tuple[int, dict[int, int]]
) -> None:
    """Samples merge to the same whatever the order, and a repeat adds nothing."""
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(merge(a, b), b) == merge(a, b)


@given(st.sets(HASHES, max_size=200), st.sets(HASHES, max_size=200), st.integers(0, 5), st.integers(0, 5))
def test_samples_merge_exactly(first: set[int], second: set[int], one: int, other: int) -> None:
    """The merged sample is what one process would have kept that had seen everything."""

    def sample(units: set[int], bound: int) -> tuple[int, dict[int, int]]:
        return bound, {unit: 1 for unit in units if unit < bound}

    bounds = EVERYTHING >> one, EVERYTHING >> other
    assert merge(sample(first, bounds[0]), sample(second, bounds[1])) == sample(first | second, min(bounds))


def test_bounds_fall_and_never_reach_nothing() -> None:
    """A share that something is divided by is never 0."""
    assert (kept_ppm(EVERYTHING), kept_ppm(EVERYTHING >> 1), kept_ppm(1)) == (1_000_000, 500_000, 1)
    assert (halved(EVERYTHING), halved(1)) == (EVERYTHING >> 1, 1)
