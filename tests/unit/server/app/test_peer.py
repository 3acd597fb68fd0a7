"""Another server, heard word by word: what is missing, damaged or told again."""

from __future__ import annotations

from dataclasses import replace

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.fleet import FleetWord, write_fleet_word
from rollout_sdk.wire.messages import Acknowledgement, Greeting
from rollout_sdk.wire.relaying import Joined, News
from rollout_server.app.peer import BEHIND_FOR_MS, GONE_AFTER_MS, Peer
from rollout_server.app.roster import Remembering
from rollout_server.domain.replicas import Replica, Spot, Word
from tests.doubles.fake_clock import FakeClock

HERE = Position("e1", 5, b"d5")
RUN = 7


class Stand:
    """One peer, and what its store says of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.replica = Replica("b", "b:7070", 1, 0, Spot(), has_left=False)
        self.peer = Peer(self.replica, self._table, self.clock)

    def _table(self, name: str) -> Remembering:
        return Remembering(self.clock, lambda: HERE, lambda _: None, replica=name)

    def hear(self, number: int, *joined: str, run: int = RUN, whole: bool = True, **more: object) -> None:
        greetings = [Greeting(one, "1", (), "web", one, 7) for one in joined]
        news = News(tuple(Joined(at, "t-1", one, 1_000) for at, one in enumerate(greetings, start=1)), **more)  # type: ignore[arg-type]
        self.take(number, write_fleet_word(FleetWord(news, HERE if whole else None, 3)), run)

    def take(self, number: int, data: bytes, run: int = RUN) -> None:
        for _ in self.peer.take(Word("b", Spot(run, number), 20, data)):
            pass

    def note(self, number: int, run: int = RUN, *, beats: bool = True) -> None:
        told = Spot(run, number)
        self.replica = replace(self.replica, beat=self.replica.beat + beats, told=told)
        self.peer.note(self.replica)

    def names(self) -> set[str]:
        return {seat.instance.greeting.instance_id for seat in self.peer.table.counting().values()}


def test_its_processes_are_known_when_all_of_them_were_told() -> None:
    """Each under its server's name, connected since then."""
    stand = Stand()
    stand.note(2)
    stand.hear(1, "p1", whole=False)
    assert (stand.names(), stand.peer.position, stand.peer.is_in_sight) == (set(), None, False)
    stand.hear(2, acknowledged=((Acknowledgement(HERE, b"x"), (1,)),))
    assert (stand.names(), stand.peer.position, stand.peer.forgotten) == ({"p1"}, HERE, 3)
    assert stand.peer.is_in_sight
    assert stand.peer.is_read
    ((seat),) = stand.peer.table.counting().values()
    assert (seat.instance.replica, seat.instance.in_force) == ("b:7070", HERE)
    assert seat.since_ms == -1_020
    assert seat.instance.last_seen_at_ms == stand.clock.now_ms() - 20


def test_what_is_begun_anew_takes_the_place_when_it_is_whole() -> None:
    """Nobody is missed meanwhile."""
    stand = Stand()
    stand.note(1)
    stand.hear(1, "p1", "p2")
    stand.hear(1, "p1", run=8, whole=False)
    assert stand.names() == {"p1", "p2"}
    stand.hear(2, run=8)
    assert stand.names() == {"p1"}


def test_a_word_that_was_heard_before_says_nothing() -> None:
    stand = Stand()
    stand.hear(1, "p1")
    stand.hear(2)
    stand.hear(1, "p1", "p2")
    assert (stand.names(), stand.peer.heard) == ({"p1"}, Spot(RUN, 2))


def test_what_is_missing_is_asked_for_from_the_start() -> None:
    """What is known stays until all of it was heard again; without a start nothing is known but by a new run."""
    stand = Stand()
    stand.hear(1, "p1")
    stand.note(3)
    stand.hear(3)
    assert (stand.peer.heard, stand.names(), stand.peer.is_read) == (Spot(), {"p1"}, False)
    for number, joined in ((1, ("p1",)), (2, ()), (3, ())):
        stand.hear(number, *joined)
    assert stand.peer.is_read
    stand.note(9)
    stand.hear(9)
    stand.hear(8, "other")
    stand.hear(9, "other")
    assert (stand.peer.heard, stand.peer.is_read, stand.names()) == (Spot(RUN, 9), False, {"p1"})
    stand.hear(1, "p3", run=8)
    stand.note(1, run=8)
    assert (stand.peer.is_read, stand.names()) == (True, {"p3"})


def test_what_makes_no_sense_is_missing() -> None:
    """Until it is told again, whatever follows."""
    stand = Stand()
    stand.note(2)
    stand.take(1, b"junk")
    stand.hear(2, "p1")
    assert (stand.names(), stand.peer.is_read) == (set(), False)
    stand.hear(1, "p1", run=8)
    stand.note(1, run=8)
    assert (stand.names(), stand.peer.is_read) == ({"p1"}, True)


def test_a_store_that_went_back_is_read_from_the_start() -> None:
    stand = Stand()
    stand.hear(1, "p1")
    stand.hear(2)
    stand.note(1, run=6)
    assert stand.peer.heard == Spot()
    stand.hear(1, "p2", run=6)
    assert stand.names() == {"p2"}


def test_who_gives_no_sign_of_life_is_gone_and_may_come_back() -> None:
    """Said once; where the store could not be asked, it has time again."""
    stand = Stand()
    stand.note(1)
    stand.hear(1, "p1")
    stand.clock.advance(GONE_AFTER_MS - 1)
    stand.peer.doubt()
    assert not stand.peer.is_in_sight
    stand.clock.advance(GONE_AFTER_MS - 1)
    stand.note(1, beats=False)
    assert not stand.peer.look()
    stand.clock.advance(1)
    assert (stand.peer.look(), stand.peer.look(), stand.peer.is_over) == (True, False, True)
    stand.note(1)
    assert (stand.peer.look(), stand.peer.is_in_sight) == (False, True)


def test_who_was_never_seen_to_live_is_out_of_sight() -> None:
    """What it told may be an hour old."""
    stand = Stand()
    stand.note(1, beats=False)
    stand.hear(1, "p1")
    assert not stand.peer.is_in_sight
    stand.note(1)
    assert stand.peer.is_in_sight


def test_words_that_do_not_come_put_it_out_of_sight() -> None:
    stand = Stand()
    stand.note(1)
    stand.hear(1, "p1")
    stand.note(2)
    stand.clock.advance(BEHIND_FOR_MS - 1)
    stand.note(3)
    assert stand.peer.is_in_sight, "on their way"
    stand.clock.advance(1)
    sights = [stand.peer.is_in_sight]
    stand.hear(2)
    stand.hear(3)
    assert [*sights, stand.peer.is_in_sight] == [False, True]
