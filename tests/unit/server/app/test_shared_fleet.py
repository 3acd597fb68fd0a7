"""Everybody on one store, once each: whoever asks whichever server, and whatever became of the others."""

from __future__ import annotations

import pytest

from rollout_server.app import shared_fleet
from rollout_server.app.instance import Certificate, InstanceState
from rollout_server.app.instances import COUNTS_FOR_MS
from rollout_server.app.peer import GONE_AFTER_MS
from rollout_server.app.shared_fleet import CURRENT_MS, LISTEN_MS
from tests.small_fleet import Server, Store

HERE = 5


@pytest.fixture(autouse=True)
def _listens_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look around is enough; `test_who_begins_to_listen...` has the real time."""
    monkeypatch.setattr(shared_fleet, "LISTEN_MS", 0)


def certificate(server: Server, revision: int = HERE) -> Certificate:
    return server.fleet.certificate(revision)


def where(server: Server) -> dict[str, str]:
    """Each process that this server knows to be connected, and to which server; "-" for one out of reach."""
    return {
        one.greeting.instance_id: (one.replica or server.name) if one.is_connected else "-"
        for one in server.fleet.known()
    }


async def test_every_server_names_everybody() -> None:
    """With what is in force, whatever their clocks say."""
    store = Store()
    a, b = store.server("a"), store.server("b", skew_ms=-7_200_000)
    for server, name in ((a, "p1"), (a, "p2"), (b, "p3")):
        server.acknowledge(server.join(name))
    await store.talk()
    for server in (a, b):
        found = certificate(server)
        assert found.is_complete, found
        assert found.in_force == ("web@p1 (pid 7)", "web@p2 (pid 7)", "web@p3 (pid 7)")
    assert where(a) == where(b) == {"p1": "a", "p2": "a", "p3": "b"}
    assert {one.greeting.instance_id for one in a.fleet.mine()} == {"p1", "p2"}
    assert (a.fleet.counts()[InstanceState.IN_FORCE], b.fleet.counts()[InstanceState.IN_FORCE]) == (2, 1)


async def test_nothing_is_complete_before_everybody_was_heard() -> None:
    """A server that just started, and asked nobody, proves nothing; nor does one that has not heard all of it."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    assert "was not asked yet" in certificate(b).unheard[0]
    a.join()
    await a.tell()
    await b.tell()
    assert [name.split(":")[0] for name in certificate(b).unheard] == ["server a"]
    await b.hear()
    await store.talk()
    assert (certificate(b).unheard, certificate(b).straggling) == ((), ("web@p (pid 7)",))


async def test_a_certificate_waits_for_the_word_of_each_server_on_its_revision() -> None:
    """Whoever connects to a server that lags gets what was before: it may have connected a moment ago."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    await store.talk()
    b.commit(6)
    await store.talk()
    (unheard,) = certificate(b, 6).unheard
    assert unheard == "server a: it has not said that it stands at revision 6"
    a.acknowledge(a.join("late"), 5)
    a.commit(6)
    await store.talk()
    assert certificate(b, 6).unheard == ()
    assert certificate(b, 6).straggling == ("web@late (pid 7)",)


async def test_a_certificate_waits_until_the_store_was_asked_who_there_is() -> None:
    """A server that came before the commit, and after this one had asked, may serve what was before it."""
    store = Store()
    alone = store.server("alone")
    await store.talk()
    alone.commit(6)
    assert certificate(alone, 6).unheard == ("the store: it was not asked since revision 6 which servers there are",)
    assert certificate(alone, 5).is_complete
    await store.talk()
    assert certificate(alone, 6).is_complete


async def test_a_process_that_moves_is_one() -> None:
    """Also where its old stream is noticed to be broken later than its new one began, in whatever order."""
    store = Store()
    a, b, c = (store.server(name) for name in "abc")
    old = a.join()
    await store.pass_time(2_000)
    assert set(map(str, where(c).values())) == {"a"}
    b.acknowledge(b.join())
    await store.talk()
    for server in (a, b, c):
        assert where(server) == {"p": "b"}
    assert ([len(server.fleet.mine()) for server in (a, b, c)]) == [0, 1, 0]
    a.roster.disconnect(old)
    a.begin_anew()
    await store.talk()
    for server in (a, b, c):
        assert where(server) == {"p": "b"}
        assert certificate(server).is_complete
    assert a.roster.away() == (), "what is known elsewhere is not kept"


async def test_it_does_not_matter_in_which_order_others_are_heard() -> None:
    """One that hears of the new stream first is not talked out of it by the old one."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.join()
    await store.pass_time(2_000)
    b.acknowledge(b.join())
    await store.talk()
    late = store.server("late")
    await late.tell()
    for id_ in reversed(list(late.fleet.to_hear())):
        for _ in late.fleet.take(await late.replicas.hear({id_: late.fleet.to_hear()[id_]})):
            pass
    await store.talk()
    assert where(late) == {"p": "b"}


async def test_who_says_goodbye_anywhere_counts_nowhere() -> None:
    """Also where another server still believes to be connected, is gone, or tells of it later."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.join()
    await store.pass_time(2_000)
    moved = b.join()
    await store.talk()
    b.roster.leave(moved)
    await store.talk()
    assert where(a) == where(b) == {}
    late = store.server("late")
    await store.pass_time(GONE_AFTER_MS + 1_000, a)
    assert where(late) == where(b) == {}
    assert certificate(late).is_complete


async def test_a_server_that_dies_takes_its_processes_out_of_sight() -> None:
    """They are unreachable by name until they are back; then the certificate is whole, without the dead."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.acknowledge(a.join())
    await store.talk()
    b.commit(6)
    await store.pass_time(1_000, a)
    assert [name.split(":")[0] for name in certificate(b, 6).unheard] == ["server a"]
    await store.pass_time(GONE_AFTER_MS, a)
    assert (certificate(b, 6).unheard, certificate(b, 6).unreachable) == ((), ("web@p (pid 7)",))
    (gone,) = b.fleet.known()
    assert gone.is_out_of_sight
    late = store.server("late")
    late.commit(6)
    await store.pass_time(GONE_AFTER_MS + 1_000, a)
    assert certificate(late, 6).unreachable == ("web@p (pid 7)",), "who starts later misses it, too"
    b.acknowledge(b.join())
    await store.talk(a)
    for server in (b, late):
        assert certificate(server, 6).is_complete
        assert where(server) == {"p": "b"}


async def test_a_server_that_just_started_takes_no_dead_one_for_living() -> None:
    """What it told is there, and says that its processes obey: nobody knows whether they do now."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.acknowledge(a.join())
    await store.talk()
    late = store.server("late")
    await late.tell()
    await late.hear()
    assert not certificate(late).is_complete
    assert where(late) == {"p": "-"}
    await store.pass_time(GONE_AFTER_MS + 1_000, a, b)
    assert certificate(late).unreachable == ("web@p (pid 7)",)


async def test_a_server_that_only_stood_still_is_back_as_it_was() -> None:
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.acknowledge(a.join())
    await store.talk()
    await store.pass_time(GONE_AFTER_MS + 1_000, a)
    assert where(b) == {"p": "-"}
    await store.pass_time(1_000)
    assert where(b) == {"p": "a"}
    assert certificate(b).is_complete


async def test_a_server_that_leaves_is_not_waited_for() -> None:
    """Its processes come back elsewhere; until then they are missed."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.acknowledge(a.join())
    await store.talk()
    await a.replicas.leave()
    await store.pass_time(1_000, a)
    assert (certificate(b).unheard, certificate(b).unreachable) == ((), ("web@p (pid 7)",))
    b.acknowledge(b.join())
    assert certificate(b).is_complete


async def test_while_the_store_is_away_others_are_out_of_sight() -> None:
    """What was heard last is not how things are; it is again as soon as everybody gives a sign of life."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.acknowledge(a.join("pa"))
    b.acknowledge(b.join("pb"))
    await store.pass_time(2_000)
    began_at_ms = b.fleet.began_at_ms
    for clock in (store.clock, a.clock, b.clock):
        clock.advance(CURRENT_MS)
    found = certificate(b)
    assert (found.in_force, found.unreachable, len(found.unheard)) == (("web@pb (pid 7)",), ("web@pa (pid 7)",), 1)
    assert not b.fleet.is_whole
    assert b.fleet.began_at_ms == b.clock.now_ms(), "nobody is missed meanwhile"
    await b.tell()
    assert not certificate(b).is_complete, "a may have died"
    await store.pass_time(2_000)
    assert certificate(b).is_complete
    assert b.fleet.began_at_ms > began_at_ms


async def test_who_tells_more_than_is_heard_is_not_heard() -> None:
    """Where the words of others do not come, although the store answers, nothing is complete."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.acknowledge(a.join())
    await store.talk()
    store.board.is_deaf = True
    for _ in range(4):
        await store.pass_time(1_000)
    assert not certificate(b).is_complete
    assert where(b) == {"p": "-"}
    store.board.is_deaf = False
    await store.talk()
    assert certificate(b).is_complete


async def test_a_store_that_lost_everything_is_told_again() -> None:
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.acknowledge(a.join())
    await store.talk()
    store.board.lose()
    await store.pass_time(2_000)
    assert where(b) == {"p": "a"}
    assert certificate(b).is_complete


async def test_only_who_leads_counts_those_of_a_server_that_is_gone() -> None:
    """Each process is in the figures of one server, and a dead one's are not missed by all of them."""
    store = Store()
    a, b, c = (store.server(name) for name in "abc")
    for server in (a, b, c):
        server.join(f"p-{server.name}")
    await store.talk()
    await store.pass_time(GONE_AFTER_MS + 2_000, a)
    assert [len(server.fleet.mine()) for server in (b, c)] == [1, 1]
    led = b.fleet.counts(leads=True)
    assert (led[InstanceState.STRAGGLING], led[InstanceState.UNREACHABLE]) == (1, 1)
    c.join("p-a")
    await store.talk(a)
    assert len(b.fleet.mine(leads=True)) == 1


async def test_behind_a_relay_that_moved() -> None:
    """Two servers tell of one connection: whoever has it still knows better."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    old = a.join(behind="eu", connected_ms_ago=1)
    await store.pass_time(3_000)
    a.roster.disconnect(old, is_out_of_sight=True)
    b.acknowledge(b.join(behind="eu", connected_ms_ago=3_020))
    await store.talk()
    for server in (a, b):
        (one,) = server.fleet.known()
        assert (one.is_connected, one.behind) == (True, "eu")


async def test_acknowledgements_are_timed_from_the_commit() -> None:
    """First and last of all servers; another's counts from when it was told."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    mine, theirs = a.join("mine"), b.join("theirs")
    await store.talk()
    for server in (a, b):
        server.commit(6)
    for clock in (store.clock, a.clock, b.clock):
        clock.advance(40)
    a.acknowledge(mine)
    for clock in (store.clock, a.clock, b.clock):
        clock.advance(60)
    b.acknowledge(theirs)
    await store.talk()
    for server in (a, b):
        times = server.fleet.acknowledged(6)
        assert times is not None
        assert (times.first_ms, times.last_ms) == ((40, 100) if server is a else (100, 100))
    assert a.fleet.acknowledged(7) is None


async def test_a_whole_fleet_that_is_away_for_hours_is_given_up_and_not_forgotten() -> None:
    """Who moved, or said goodbye anywhere, is not among them."""
    store = Store()
    a, b = store.server("a"), store.server("b")
    lost, moves, leaves = a.join("lost"), a.join("moves"), b.join("leaves")
    await store.pass_time(2_000)
    moved = b.join("moves")
    await store.talk()
    b.roster.leave(leaves)
    for server, stream in ((a, lost), (a, moves), (b, moved)):
        server.roster.disconnect(stream)
    await store.talk()
    assert (where(a), a.fleet.given_up) == ({"lost": "-", "moves": "-"}, 0)
    for clock in (store.clock, a.clock, b.clock):
        clock.advance(COUNTS_FOR_MS)
    await store.pass_time(2_000)
    for server in (a, b):
        assert (server.fleet.known(), server.fleet.given_up) == ((), 2)
    b.join("new")
    await store.pass_time(1_000)
    assert (a.fleet.given_up, b.fleet.given_up) == (0, 0)


async def test_processes_that_a_server_forgot_count_everywhere() -> None:
    store = Store()
    a, b = store.server("a"), store.server("b")
    await store.talk()
    a.roster.overlook()
    await store.talk()
    assert (certificate(b).forgotten, certificate(b).is_complete) == (1, False)


async def test_a_server_that_has_been_gone_for_an_hour_is_forgotten() -> None:
    store = Store()
    a, b = store.server("a"), store.server("b")
    a.join()
    await store.talk()
    await store.pass_time(GONE_AFTER_MS + 2_000, a)
    assert len(b.fleet.peers) == 1
    for clock in (store.clock, b.clock):
        clock.advance(COUNTS_FOR_MS)
    for _ in range(2):
        await store.pass_time(GONE_AFTER_MS + 1_000, a)
        assert (b.fleet.peers, b.fleet.known()) == ({}, ())
    assert certificate(b).is_complete


async def test_who_begins_to_listen_gives_others_time_to_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store may have lost who there is: whoever asks it first hears of nobody, until they have spoken."""
    monkeypatch.setattr(shared_fleet, "LISTEN_MS", LISTEN_MS)
    store = Store()
    a = store.server("a")
    a.acknowledge(a.join())
    await store.talk()
    store.board.lose()
    late = store.server("late")
    await late.tell()
    assert late.fleet.peers == {}
    assert not certificate(late).is_complete
    await store.pass_time(LISTEN_MS + 1_000)
    assert where(late) == {"p": "a"}
    assert certificate(late).is_complete
    for clock in (store.clock, a.clock, late.clock):
        clock.advance(CURRENT_MS)
    await late.tell()
    assert "only begun to listen" in str(certificate(late).unheard), "after an outage, too"
