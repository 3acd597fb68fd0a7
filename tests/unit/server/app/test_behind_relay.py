"""Processes behind a relay count like all others, for as long as the relay is there to speak for them."""

from __future__ import annotations

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Acknowledgement, Greeting
from rollout_sdk.wire.relaying import Joined, News
from rollout_server.app.behind_relay import BehindRelay
from rollout_server.app.instance import Certificate
from rollout_server.app.instances import Instances
from rollout_server.app.record_log import Mark
from tests.doubles.fake_clock import FakeClock

HERE = Position("e1", 5, b"d5")
WORD = Acknowledgement(HERE, b"records")
TOKEN = "t-1"


class Server:
    """An environment with two relays' worth of room."""

    def __init__(self, instances_max: int = 10) -> None:
        self.clock = FakeClock()
        mark = Mark(b"d5", b"records", self.clock.now_ms())
        self.instances = Instances(self.clock, lambda: HERE, lambda _: mark, frozenset, instances_max)

    def relay(self, name: str) -> BehindRelay:
        return BehindRelay(name, self.instances, self.clock, lambda token_id: token_id == TOKEN)

    def certificate(self) -> Certificate:
        return self.instances.certificate(HERE.revision)


def joined(number: int, name: str = "", token: str = TOKEN, ago_ms: int = 0, away_ms: int | None = None) -> Joined:
    greeting = Greeting(name or f"i-{number}", "1", (), name or f"web-{number}", "", number)
    return Joined(number, token, greeting, ago_ms, away_ms)


def take(behind: BehindRelay, news: News) -> list[int]:
    return list(behind.take(news))


def test_they_are_in_force_by_their_own_word_and_named_with_their_relay() -> None:
    server = Server()
    server.clock.advance(30)
    eu = server.relay("eu")
    take(eu, News((joined(1), joined(2))))
    assert server.certificate().straggling == ("web-1 (pid 1) behind eu", "web-2 (pid 2) behind eu")
    take(eu, News(acknowledged=((WORD, (1, 2)),)))
    assert server.certificate().is_complete
    assert len(server.certificate().in_force) == 2


def test_who_says_goodbye_is_gone_and_who_does_not_is_unreachable() -> None:
    server = Server()
    eu = server.relay("eu")
    take(eu, News((joined(1), joined(2)), ((WORD, (1, 2)),)))
    take(eu, News(left=(1,), lost=(2,)))
    assert server.certificate() == Certificate(5, unreachable=("web-2 (pid 2) behind eu",))


def test_a_relay_that_is_cut_off_takes_all_of_its_processes_out_of_reach() -> None:
    """Never in force: nobody knows. And nobody's loss: they may well live."""
    server = Server()
    eu = server.relay("eu")
    take(eu, News((joined(1), joined(2)), ((WORD, (1, 2)),)))
    eu.close()
    assert (server.certificate().in_force, len(server.certificate().unreachable)) == ((), 2)
    assert all(one.is_out_of_sight for one in server.instances.known())
    back = server.relay("eu")
    take(back, News((joined(7, "i-1"), joined(8, "i-2", away_ms=10)), ((WORD, (7,)),), (8,)))
    assert server.certificate().is_complete, "one is back, and the other said goodbye meanwhile"
    assert len(server.certificate().in_force) == 1


def test_a_process_that_went_over_to_another_relay_counts_there() -> None:
    """Whatever the one that it left still says of it, now or when it is back."""
    server = Server()
    eu, us = server.relay("eu"), server.relay("us")
    take(eu, News((joined(1, "i-1"),)))
    server.clock.advance(100)
    take(us, News((joined(1, "i-1"),), ((WORD, (1,)),)))
    take(eu, News(lost=(1,)))
    eu.close()
    again = server.relay("eu")
    take(again, News((joined(5, "i-1", ago_ms=100),)))
    take(again, News((joined(6, "i-1", away_ms=50),), left=(6,)))
    again.close()
    assert server.certificate().in_force == ("i-1 (pid 1) behind us",)


def test_who_died_while_upstream_was_away_counts() -> None:
    """It was never seated here: it is out of reach from the start."""
    server = Server()
    take(server.relay("eu"), News((joined(1, away_ms=1_000),)))
    assert server.certificate().unreachable == ("web-1 (pid 1) behind eu",)


def test_nobody_comes_by_a_token_that_is_not_of_processes() -> None:
    """Nor does anything that is said of them count."""
    server = Server()
    eu = server.relay("eu")
    assert take(eu, News((joined(1, token="t-2"),), ((WORD, (1, 99)),), (1,), (99,))) == []
    assert server.instances.known() == ()


def test_without_room_a_process_is_missed_and_no_certificate_is_whole() -> None:
    server = Server(instances_max=1)
    take(server.relay("eu"), News((joined(1), joined(2)), ((WORD, (1,)),)))
    assert (server.certificate().forgotten, server.certificate().is_complete) == (1, False)


def test_what_was_said_a_while_ago_happened_then() -> None:
    """Connections, losses and acknowledgements; and who is behind another relay is named with that one."""
    server = Server()
    server.clock.advance(500)
    peer = server.relay("")
    far = Joined(3, TOKEN, Greeting("i-3", "1", (), "web-3", "", 3), 10, behind="eu")
    list(peer.take(News((joined(1, ago_ms=100), joined(2, ago_ms=300, away_ms=50), far)), 40))
    now_ms = server.clock.now_ms()
    known = {one.greeting.instance_id: one for one in server.instances.known()}
    assert known["i-1"].connected_at_ms == now_ms - 140
    assert (known["i-2"].connected_at_ms, known["i-2"].last_seen_at_ms) == (now_ms - 340, now_ms - 90)
    assert known["i-3"].name == "web-3 (pid 3) behind eu"
    list(peer.take(News(acknowledged=((WORD, (1,)),)), 60))
    assert server.instances.known()[0].last_seen_at_ms == now_ms - 60
