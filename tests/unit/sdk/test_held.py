"""What one client holds, and how the next is worked out from it: one bad record harms one resource."""

from collections.abc import Iterable
from dataclasses import replace

from rollout_sdk.cache import Cache
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    Cohort,
    Flag,
    FlagState,
    InCohort,
    Leaf,
    Origin,
    Reach,
    Reason,
    Requirement,
    RolloutState,
    Rule,
    Serve,
)
from rollout_sdk.held import Held, changed_flags, work_out
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import RecordKind
from rollout_sdk.wire.snapshot import pack, unpack
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean, broken, by_rollout, cohort, for_cohort, position, rollout

U1 = Context("u-1")


def part(
    revision: int,
    *resources: Flag | Cohort | FlagState | RolloutState,
    base: int | None = None,
    removed: tuple[tuple[int, str], ...] = (),
    with_chunks: bool = True,
) -> Part:
    cohorts = [each for each in resources if isinstance(each, Cohort)]
    return Part(
        snapshot=base is None,
        base_revision=base or 0,
        position=position(revision),
        ruleset_digest=b"",
        records=tuple(record(each, revision) for each in resources),
        removed=removed,
        chunks=tuple((chunk.digest, chunk.data) for each in cohorts for chunk in each.include.chunks)
        if with_chunks
        else (),
    )


def served(held: Held, flag: str, context: Context = U1) -> tuple[object, Reason]:
    decision = held.compiled.bind(Origin()).decide(flag, context)
    return decision.value, decision.reason


def refused(held: Held) -> list[str]:
    return [each.flag for each in held.quarantined]


def versions(held: Held, flags: Iterable[str]) -> list[int]:
    return [held.compiled.bind(Origin()).decide(flag, U1).flag_version for flag in flags]


def test_a_bad_flag_keeps_its_last_good_rules_and_the_rest_goes_on() -> None:
    """Promise 3: only the bad flag is quarantined."""
    first = work_out(None, [part(1, boolean("a"), boolean("b"))])
    second = work_out(first, [part(2, broken(boolean("a", on=False)), boolean("b", on=False), base=1)])
    assert served(second, "a") == (True, Reason.DEFAULT)
    assert served(second, "b") == (False, Reason.DEFAULT)
    assert versions(second, "ab") == [1, 2]
    assert refused(second) == ["a"]
    assert second.quarantined[0].version == 2
    assert "telepathy" in second.quarantined[0].error


def test_kill_acts_on_a_quarantined_flag() -> None:
    """A state is a record of its own."""
    first = work_out(None, [part(1, boolean("a"))])
    second = work_out(first, [part(2, broken(boolean("a")), FlagState("a", killed=True), base=1)])
    assert served(second, "a") == (False, Reason.KILLED)
    third = work_out(second, [part(3, FlagState("a", killed=False), base=2)])
    assert served(third, "a") == (True, Reason.DEFAULT)


def test_a_bad_flag_keeps_its_rules_through_a_snapshot() -> None:
    """A snapshot forgets what is held, but not what is good."""
    first = work_out(None, [part(1, boolean("a"), boolean("gone"))])
    second = work_out(first, [part(5, broken(boolean("a")))])
    assert served(second, "a") == (True, Reason.DEFAULT)
    assert served(second, "gone") == (None, Reason.UNKNOWN_FLAG)
    assert second.good.keys() == {(RecordKind.FLAG, "a")}


def test_a_mended_flag_leaves_quarantine() -> None:
    """What is refused is read again whenever something arrives."""
    first = work_out(None, [part(1, broken(boolean("a")))])
    assert served(first, "a")[1] in {Reason.UNKNOWN_FLAG, Reason.ERROR}
    second = work_out(first, [part(2, boolean("a"), base=1)])
    assert served(second, "a") == (True, Reason.DEFAULT)
    assert refused(second) == []
    assert second.good == {}


def test_a_removed_flag_is_unknown_even_if_quarantined() -> None:
    """Deleting ends a flag, its last good rules included."""
    first = work_out(None, [part(1, boolean("a"))])
    second = work_out(first, [part(2, broken(boolean("a")), base=1)])
    third = work_out(second, [part(3, base=2, removed=((RecordKind.FLAG, "a"),))])
    assert served(third, "a") == (None, Reason.UNKNOWN_FLAG)
    assert third.quarantined == ()
    assert third.digest.to_bytes() == bytes(32)


def test_a_cohort_without_its_chunk_is_refused_with_the_flags_that_use_it() -> None:
    """A cohort and its flags come into force together, or not at all."""
    first = work_out(None, [part(1, cohort("staff", "u-1"), for_cohort("a", "staff"), boolean("b"))])
    assert served(first, "a") == (True, Reason.RULE)
    second = work_out(first, [part(2, cohort("staff", "u-2"), base=1, with_chunks=False)])
    assert served(second, "a") == (True, Reason.RULE)
    assert refused(second) == ["a"]
    third = work_out(second, [part(3, for_cohort("a", "staff"), boolean("b", on=False), base=2)])
    assert versions(third, "ab") == [1, 3]
    healed = work_out(third, [part(4, cohort("staff", "u-2"), base=3)])
    assert served(healed, "a") == (False, Reason.DEFAULT)
    assert healed.quarantined == ()
    assert versions(healed, "a") == [3]


def test_a_flag_that_does_not_compile_is_quarantined_alone() -> None:
    """Readable is not yet usable: a cohort that does not exist, a cycle of requirements."""
    loop = replace(boolean("a"), requires=(Requirement("a", ("on",)),))
    first = work_out(None, [part(1, boolean("a"), boolean("b"))])
    second = work_out(first, [part(2, loop, for_cohort("b", "nobody"), boolean("c"), base=1)])
    assert served(second, "a") == (True, Reason.DEFAULT)
    assert served(second, "b") == (True, Reason.DEFAULT)
    assert served(second, "c") == (True, Reason.DEFAULT)
    assert refused(second) == ["a", "b"]
    assert second.good.keys() == {(RecordKind.FLAG, "a"), (RecordKind.FLAG, "b")}


def test_a_damaged_chunk_does_not_replace_a_good_one() -> None:
    """Chunks are addressed by what they hold."""
    staff = cohort("staff", "u-1")
    first = work_out(None, [part(1, staff, for_cohort("a", "staff"))])
    damaged = replace(part(2, base=1), chunks=((staff.include.chunks[0].digest, b"damaged!"),))
    assert served(work_out(first, [damaged]), "a") == (True, Reason.RULE)


def test_chunks_that_nobody_names_are_dropped() -> None:
    """Memory follows the cohorts in force."""
    first = work_out(None, [part(1, cohort("staff", "u-1"))])
    second = work_out(first, [part(2, cohort("staff", "u-2"), base=1)])
    assert set(second.chunks) == {cohort("staff", "u-2").include.chunks[0].digest}


def test_the_digest_follows_every_change() -> None:
    """Step by step or at once, the digest is that of the records held."""
    held = work_out(None, [part(1, boolean("a"), boolean("b"))])
    held = work_out(held, [part(2, broken(boolean("a")), FlagState("b", killed=True), base=1)])
    held = work_out(held, [part(3, base=2, removed=((RecordKind.FLAG, "b"),))])
    assert held.digest.to_bytes() == digest_of(held.records.values())
    assert len(held.records) == 2


def test_what_did_not_change_is_not_compiled_again() -> None:
    """A change costs what it changes."""
    first = work_out(None, [part(1, boolean("a"), boolean("b"))])
    second = work_out(first, [part(1, boolean("a"), boolean("b", on=False))])
    assert second.compiled.flags["a"].rules is first.compiled.flags["a"].rules


def test_changed_flags_names_all_whose_decisions_may_differ() -> None:
    """Directly, through a cohort, through a requirement; deleted ones too."""
    child = replace(boolean("child"), requires=(Requirement("a", ("on",)),))
    first = work_out(None, [part(1, cohort("staff"), for_cohort("a", "staff"), child, boolean("b"), boolean("c"))])
    assert changed_flags(None, first) == {"a", "b", "c", "child"}
    second = work_out(first, [part(2, cohort("staff", "u-1"), base=1, removed=((RecordKind.FLAG, "c"),))])
    assert changed_flags(first, second) == {"a", "child", "c"}
    killed = work_out(second, [part(3, FlagState("b", killed=True), base=2)])
    assert changed_flags(second, killed) == {"b"}


# ------------------------------------------------------------------------------------------------------- rollouts

EVERYBODY = Reach("full", 1_000_000)
FUTURE = Reach("future", 1, Leaf("country", "telepathy", "TH"))


def test_a_rollback_acts_on_a_quarantined_flag() -> None:
    """A state is a record of its own."""
    first = work_out(None, [part(1, by_rollout("a"), rollout("x", "a", EVERYBODY))])
    assert served(first, "a") == (True, Reason.ROLLOUT)
    second = work_out(first, [part(2, broken(by_rollout("a")), rollout("x", "a"), base=1)])
    assert served(second, "a") == (False, Reason.ROLLOUT)
    assert refused(second) == ["a"]
    third = work_out(second, [part(3, rollout("x", "a", EVERYBODY), base=2)])
    assert served(third, "a") == (True, Reason.ROLLOUT)


def test_a_state_that_cannot_be_read_keeps_the_last_good_one_and_is_reported() -> None:
    """Under the flag that it moves; a rollback after it acts, whatever it holds."""
    first = work_out(None, [part(1, by_rollout("a"), rollout("x", "a", EVERYBODY), boolean("b"))])
    second = work_out(first, [part(2, rollout("x", "a", EVERYBODY, FUTURE), base=1)])
    assert served(second, "a") == (True, Reason.ROLLOUT)
    assert refused(second) == ["a"]
    assert second.quarantined[0].version == 2
    assert second.quarantined[0].error.startswith("rollout x: reaches[1].audience: ")
    assert second.good.keys() == {(RecordKind.ROLLOUT, "x")}
    fresh = work_out(None, [part(2, by_rollout("a"), rollout("x", "a", EVERYBODY, FUTURE), boolean("b"))])
    assert served(fresh, "a") == (None, Reason.ERROR)
    assert refused(fresh) == ["a"]
    for held in (second, fresh):
        back = work_out(held, [part(3, replace(rollout("x", "a"), never=(FUTURE.audience,), salt="", law=9), base=2)])  # type: ignore[arg-type]
        assert served(back, "a") == (False, Reason.ROLLOUT)
        assert (back.quarantined, back.good) == ((), {})


def test_a_state_that_uses_a_refused_cohort_is_held_back_and_its_rollback_is_not() -> None:
    """Cohorts and stages come into force together; a rollback needs no cohort."""
    staged = rollout("x", "a", Reach("staff", 1_000_000, InCohort("staff")))
    first = work_out(None, [part(1, cohort("staff", "u-1"), by_rollout("a"), staged)])
    assert served(first, "a") == (True, Reason.ROLLOUT)
    more = replace(staged, reaches=(*staged.reaches, EVERYBODY))
    second = work_out(first, [part(2, cohort("staff", "u-2"), more, base=1, with_chunks=False)])
    assert served(second, "a") == (True, Reason.ROLLOUT)
    assert served(second, "a", Context("u-2")) == (False, Reason.ROLLOUT)
    assert refused(second) == ["a"]
    back = work_out(second, [part(3, rollout("x", "a"), base=2)])
    assert served(back, "a") == (False, Reason.ROLLOUT)
    assert refused(back) == []
    healed = work_out(second, [part(3, cohort("staff", "u-2"), base=2)])
    assert served(healed, "a", Context("u-9")) == (True, Reason.ROLLOUT)
    assert healed.quarantined == ()


def test_new_rules_come_into_force_where_their_rollout_is_held_back() -> None:
    """They come apart: the cohort that is refused is the rollout's, not the flag's."""
    staged = rollout("x", "a", Reach("staff", 1_000_000, InCohort("staff")))
    first = work_out(None, [part(1, cohort("staff", "u-1"), by_rollout("a"), staged)])
    new_rules = boolean("a", on=False, rules=(Rule("new", Serve("on")), *by_rollout("a").rules))
    second = work_out(first, [part(2, cohort("staff", "u-2"), new_rules, base=1, with_chunks=False)])
    assert served(second, "a") == (True, Reason.RULE)
    assert second.good.keys() == {(RecordKind.COHORT, "staff"), (RecordKind.ROLLOUT, "x")}


def test_a_state_that_does_not_compile_keeps_its_source() -> None:
    """What is readable but not usable is quarantined too, and the disk keeps what is in force."""
    first = work_out(None, [part(1, by_rollout("a"), rollout("x", "a", EVERYBODY))])
    lost = rollout("x", "a", EVERYBODY, Reach("gone", 1, InCohort("nobody")))
    second = work_out(first, [part(2, lost, base=1)])
    assert served(second, "a") == (True, Reason.ROLLOUT)
    assert refused(second) == ["a"]
    assert second.good == {(RecordKind.ROLLOUT, "x"): first.records[RecordKind.ROLLOUT, "x"]}
    third = work_out(second, [part(3, base=2, removed=((RecordKind.ROLLOUT, "x"),))])
    assert third.good.keys() == {(RecordKind.FLAG, "a")}
    assert served(third, "a") == (False, Reason.ROLLOUT)


def test_a_quarantined_state_survives_a_restart() -> None:
    """The file holds the good record and the one in force at the server; exposure stands."""
    first = work_out(None, [part(1, by_rollout("a"), rollout("x", "a", EVERYBODY))])
    second = work_out(first, [part(2, rollout("x", "a", EVERYBODY, FUTURE), base=1)])
    records = [*second.good.values(), *second.records.values()]
    restarted = Cache().load(unpack(pack(position(2), records, ())))
    assert served(restarted, "a") == (True, Reason.ROLLOUT)
    assert restarted.quarantined == second.quarantined


def test_a_state_changes_the_flags_that_name_it() -> None:
    """And no others."""
    first = work_out(None, [part(1, by_rollout("a"), rollout("x", "a"), boolean("b"))])
    second = work_out(first, [part(2, rollout("x", "a", EVERYBODY), base=1)])
    assert changed_flags(first, second) == {"a"}
