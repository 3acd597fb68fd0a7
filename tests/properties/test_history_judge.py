"""The judge of histories: good ones pass, each seeded fault is called by its name, and no order of events is missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from tests import history_laws as laws
from tests.history_judge import judge
from tests.replica_history import Branch, History, Logged, Outcome, Read, Sighting, Standing, Verb, Write

SET, KILL, UNKILL = Verb.SET, Verb.KILL, Verb.UNKILL


def digest(revision: int) -> bytes:
    return bytes([revision])


def entry(revision: int, key: str, value: int = 0, *, killed: bool = False) -> Logged:
    """An entry that changes the flag "f"."""
    return Logged(revision, digest(revision), key, {"f": Standing(revision, value, killed)})


def write(key: str, asked: int, answered: int, revision: int = 0, **more: Any) -> Write:
    """A write that was acknowledged as a revision; by replica "a", unless said otherwise."""
    told = ((revision, digest(revision)),) if revision else ()
    return replace(Write(key, SET, "f", "a", asked, answered, Outcome.WRITTEN, told=told), **more)


def read(asked: int, answered: int, revision: int, found: tuple[int, int | None, bool], replica: str = "a") -> Read:
    return Read(replica, asked, answered, "e", revision, {"f": found})


LOG = [entry(1, "one", 10), entry(2, "two", 20), entry(3, "three", 20, killed=True), entry(4, "four", 20)]


def good() -> History:
    """Four writes, two of them at once, refusals that are true, reads of a replica that lags, and an SDK."""
    return History(
        [
            write("one", 1, 4, 1, value=10),
            write("two", 5, 9, 2, expected=1, value=20),
            write("late", 6, 12, expected=1, value=21, outcome=Outcome.MOVED),
            write("three", 10, 15, 3, verb=KILL),
            write("again", 16, 18, verb=KILL, outcome=Outcome.UNCHANGED, replica="b"),
            write("four", 17, 20, 4, verb=UNKILL, told=((4, digest(4)), (4, digest(4))), replica="b"),
            write("away", 21, 22, expected=4, value=50, outcome=Outcome.REFUSED),
            write("dead", 23, 24, expected=4, value=60, outcome=Outcome.UNKNOWN),
        ],
        [
            read(13, 14, 2, (2, 20, False)),
            read(16, 19, 3, (3, None, True)),
            read(17, 23, 1, (1, 10, False), replica="b"),
            read(24, 25, 4, (4, 20, False), replica="b"),
        ],
        [Sighting("s", "e", 1, {"f": 10}), Sighting("s", "e", 3, {"f": 0}), Sighting("s", "e", 4, {"f": 20})],
    )


def broken(history: History, log: Iterable[Logged] = LOG) -> set[str]:
    """The laws that a history breaks."""
    return {one.law for one in judge(history, list(log)).violations}


def changed(key: str, **more: Any) -> History:
    """The good history, but for one write."""
    history = good()
    history.writes = [replace(one, **more) if one.key == key else one for one in history.writes]
    return history


def test_a_good_history_breaks_nothing() -> None:
    """And the log settles the write whose answer never came."""
    verdict = judge(good(), LOG)
    assert (verdict.violations, verdict.undecided, verdict.settled) == ((), (), 1)


def test_an_unknown_write_may_have_happened_any_time_after() -> None:
    """The log has it, long after its caller gave up."""
    assert broken(changed("dead", value=60), [*LOG, entry(5, "dead", 60)]) == set()


def test_a_lost_write_is_found() -> None:
    """Acknowledged, and another entry is in its place, or none."""
    history = good()
    history.writes.append(write("five", 30, 31, 5, expected=4, value=70))
    assert laws.KEPT in broken(history)
    assert broken(history, [*LOG, replace(entry(5, "five", 70), digest=b"another")]) == {laws.KEPT}


def test_a_stale_read_after_an_own_write_is_found() -> None:
    """The replica that acknowledged revision 4 shows revision 3 to who asks afterwards."""
    history = good()
    history.reads.append(read(21, 22, 3, (3, 20, True), replica="b"))
    assert broken(history) == {laws.OWN}


def test_a_write_that_was_done_twice_is_found() -> None:
    """One idempotency key, two entries."""
    again = [*LOG, entry(5, "four", 20)]
    assert laws.ONCE in broken(good(), again)


def test_a_repeat_that_is_answered_otherwise_is_found() -> None:
    assert broken(changed("four", told=((4, digest(4)), (5, digest(5))))) >= {laws.REPEATED}


def test_a_replica_that_goes_back_is_found() -> None:
    """It showed revision 3, and then 2 to who asked later."""
    history = good()
    history.reads.append(read(21, 22, 2, (2, 20, False)))
    assert laws.FORWARD in broken(history)


def test_an_sdk_that_goes_back_is_found() -> None:
    """Within an epoch; a new epoch may begin anywhere, and is found itself."""
    history = good()
    history.sightings.append(Sighting("s", "e", 3, {"f": 0}))
    assert broken(history) == {laws.SDK_FORWARD}
    history.sightings[-1] = Sighting("s", "other", 3, {"f": 0})
    assert broken(history) == {laws.ONE_EPOCH}


def test_an_sdk_that_decides_otherwise_is_found() -> None:
    history = good()
    history.sightings.append(Sighting("s", "e", 4, {"f": 10}))
    assert broken(history) == {laws.SDK_DECIDES}


def test_a_read_that_does_not_show_its_revision_is_found() -> None:
    history = good()
    history.reads.append(read(26, 27, 4, (4, 10, False)))
    assert broken(history) == {laws.SHOWN}


def test_a_read_of_the_future_is_found() -> None:
    """Beyond the log, or of a write that nobody had asked for."""
    history = good()
    history.reads.append(read(2, 3, 2, (2, 20, False)))
    assert laws.NOT_AHEAD in broken(history)
    history.reads[-1] = read(40, 41, 5, (5, 20, False))
    assert broken(history) == {laws.NOT_AHEAD}


def test_a_refused_write_that_was_done_is_found() -> None:
    history = [*LOG, entry(5, "away", 50)]
    assert broken(good(), history) == {laws.NOT_WRITTEN}


def test_an_entry_that_nobody_asked_for_is_found() -> None:
    """Or that holds something else, or more, than was asked for."""
    assert broken(good(), [*LOG, entry(5, "who", 50)]) == {laws.ASKED}
    assert laws.ASKED in broken(good(), [*LOG[:1], entry(2, "two", 99), *LOG[2:]])
    assert laws.ASKED in broken(good(), [*LOG[:3], entry(4, "four", 20, killed=True)])


def test_a_gap_is_found_and_leaves_undecided_what_may_have_been_there() -> None:
    verdict = judge(good(), [*LOG, entry(6, "who")])
    assert laws.GAPLESS in {one.law for one in verdict.violations}
    assert (verdict.undecided, verdict.settled) == (("dead",), 0)


def test_a_comparison_that_let_a_stale_change_through_is_found() -> None:
    """A change that names version 1 is written upon version 2; a kill is written upon a kill."""
    stale = [*LOG, entry(5, "dead", 60)]
    assert broken(changed("dead", expected=3), stale) == {laws.COMPARED}
    assert laws.COMPARED in broken(changed("four", verb=KILL), [*LOG[:3], entry(4, "four", 20, killed=True)])


def test_an_answer_that_was_never_true_is_found() -> None:
    """A kill that is told "killed already" by a replica that missed the unkill; a version that did not move."""
    told: dict[str, Any] = {"outcome": Outcome.UNCHANGED, "verb": KILL, "replica": "b"}
    history = good()
    history.writes.append(write("unsafe", 25, 26, **told))
    assert broken(history) == {laws.ORDERED}
    history.writes[-1] = write("before", 10, 11, **told)
    assert broken(history) == set(), "the kill was under way"
    history.writes[-1] = write("spurious", 25, 26, expected=4, value=1, outcome=Outcome.MOVED)
    assert broken(history) == {laws.ORDERED}


def test_writes_in_the_wrong_order_are_found() -> None:
    """Revision 2 was answered before revision 1 was asked for."""
    history = History([write("one", 5, 6, 1, value=10), write("two", 1, 2, 2, expected=1, value=20)])
    assert broken(history, LOG[:2]) == {laws.ORDERED}


# ---------------------------------------------------------------------------------------------- stores that died before

DEAD = Branch("e", [*LOG, replace(entry(5, "lost", 70), digest=b"lost"), replace(entry(6, "gone", 71), digest=b"gone")])
"""It held two entries that nobody was acknowledged."""


def survived() -> History:
    """The good history, with two writes that died, and what was seen of them before a new epoch began."""
    history = good()
    history.writes += [
        write("lost", 30, 40, expected=4, value=70, outcome=Outcome.UNKNOWN),
        write("gone", 31, 41, expected=5, value=71, outcome=Outcome.UNKNOWN),
        write("late", 32, 42, expected=4, value=80, outcome=Outcome.MOVED),
    ]
    history.reads += [
        replace(read(33, 34, 6, (6, 71, False)), digest=b"gone"),
        replace(read(45, 46, 4, (4, 20, False)), digest=digest(4), epoch="f"),
    ]
    history.sightings += [Sighting("s", "e", 6, {"f": 71}), Sighting("s", "f", 4, {"f": 20})]
    return history


def broken_by(history: History, *dead: Branch, epoch: str = "f") -> set[str]:
    return {one.law for one in judge(history, LOG, dead, epoch).violations}


def test_what_was_seen_of_a_branch_that_died_is_no_violation() -> None:
    """Reads, sightings and refusals may show what nobody was acknowledged; a new epoch tells them apart."""
    assert broken_by(survived(), DEAD) == set()


def test_an_acknowledgement_that_rests_on_what_died_is_found() -> None:
    """Written, or so already: in the log that survived neither ever was."""
    history = survived()
    history.writes.append(write("kept", 43, 44, expected=4, told=((5, b"lost"),)))
    assert laws.KEPT in broken_by(history, DEAD)
    history.writes[-1] = write("already", 43, 44, verb=KILL, outcome=Outcome.UNCHANGED)
    assert broken_by(history, DEAD) == {laws.ORDERED}


def test_a_loss_under_the_old_name_is_found() -> None:
    """What was read is gone, and the epoch is the same."""
    history = survived()
    history.reads[-1] = replace(history.reads[-1], epoch="e")
    history.sightings.pop()
    assert broken_by(history, DEAD, epoch="e") == {laws.FORWARD, laws.ONE_BRANCH}


def test_a_needless_new_name_is_found() -> None:
    """Nothing was lost; or a name was given that no store had in the end."""
    assert broken_by(good(), Branch("e", LOG)) == {laws.ONE_EPOCH}
    history = survived()
    history.sightings[-1] = Sighting("s", "third", 4, {"f": 20})
    assert broken_by(history, DEAD) == {laws.ONE_EPOCH}


def test_what_no_branch_ever_held_is_found() -> None:
    """A read of an entry that is in no log, and an SDK that serves what none says."""
    history = survived()
    history.reads.append(replace(read(35, 36, 6, (6, 99, False)), digest=b"nowhere"))
    assert broken_by(history, DEAD) == {laws.NOT_AHEAD}
    history = survived()
    history.sightings.append(Sighting("t", "e", 6, {"f": 99}))
    assert broken_by(history, DEAD) == {laws.SDK_DECIDES}


# ------------------------------------------------------------------------------------------------- every order there is


def in_some_order(writes: list[Write], log: list[Logged]) -> bool:
    """Whether an order of all that took effect explains every answer, by trying them all (Wing and Gong)."""
    revisions = {one.key: one.revision for one in log}
    steps = [one for one in writes if one.key in revisions or one.outcome in {Outcome.MOVED, Outcome.UNCHANGED}]
    return any(_explains(order, revisions) for order in permutations(steps))


def _explains(order: tuple[Write, ...], revisions: dict[str, int]) -> bool:
    now, last = Standing(), 0
    for at, one in enumerate(order):
        if any(other.answered < one.asked and other.outcome is not Outcome.UNKNOWN for other in order[at + 1 :]):
            return False
        revision = revisions.get(one.key, 0)
        fits = now.version == one.expected if one.verb is SET else now.killed is (one.verb is not KILL)
        if fits is not bool(revision) or 0 < revision < last:
            return False
        if revision:
            last = revision
            now = Standing(revision, one.value if one.verb is SET else now.value, killed=_killed(one, now))
    return True


def _killed(one: Write, now: Standing) -> bool:
    return now.killed if one.verb is SET else one.verb is KILL


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Write], list[Logged]]:
    """A few calls that overlap, most of them answered as some order would, and the log of those that wrote."""
    writes: list[Write] = []
    log: list[Logged] = []
    now = Standing()
    for number in range(draw(st.integers(1, 6))):
        verb = draw(st.sampled_from(list(Verb)))
        around = 3 * number
        asked = draw(st.integers(max(around - 6, 0), around + 2))
        answered = draw(st.integers(max(asked, around - 3) + 1, max(asked, around) + 6))
        expected = draw(st.sampled_from([now.version, now.version, max(now.version - 1, 0)]))
        fits = now.version == expected if verb is SET else now.killed is (verb is not KILL)
        one = write(f"w{number}", asked, answered, verb=verb, expected=expected, value=number)
        if fits ^ draw(st.sampled_from([False] * 9 + [True])):
            revision = len(log) + 1
            now = Standing(revision, number if verb is SET else now.value, killed=_killed(one, now))
            log.append(Logged(revision, digest(revision), one.key, {"f": now}))
            outcome = draw(st.sampled_from([Outcome.WRITTEN] * 3 + [Outcome.UNKNOWN]))
            writes.append(replace(one, outcome=outcome, told=((revision, digest(revision)),)))
        else:
            writes.append(replace(one, outcome=Outcome.MOVED if verb is SET else Outcome.UNCHANGED))
    return writes, log


@given(histories())
def test_the_judge_and_a_search_through_every_order_agree(made: tuple[list[Write], list[Logged]]) -> None:
    """What is called one order is one, and where no order explains the answers, that is said."""
    writes, log = made
    found = set(_order_laws(writes, log))
    event("one order" if not found else "none")
    assert (not found) == in_some_order(writes, log)


def _order_laws(writes: list[Write], log: list[Logged]) -> Iterator[str]:
    yield from broken(History(writes), log) & {laws.ORDERED, laws.COMPARED}
