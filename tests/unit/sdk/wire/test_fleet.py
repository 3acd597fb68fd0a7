"""What servers tell each other survives the store, and what is damaged is told apart."""

from __future__ import annotations

import zlib

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire import fleet
from rollout_sdk.wire.fleet import PACKED, FleetWord, read_fleet_word, write_fleet_word
from rollout_sdk.wire.messages import Acknowledgement, Greeting, Quarantined
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.relaying import Joined, News

HERE = Position("e1", 5, b"d5")
REFUSED = (Quarantined("a", 3, "cannot"),)
WORD = Acknowledgement(HERE, b"records", REFUSED)


def process(number: int) -> Joined:
    greeting = Greeting(f"i-{number}", "1.0", ("op:in",), "web", "h", number, HERE, REFUSED)
    return Joined(number, "t-1", greeting, 1_000 + number, number or None, "eu" if number % 2 else "")


def test_what_was_told_is_read() -> None:
    """All of it: who came and how, what is in force, who left, who was lost, where the server stands."""
    news = News((process(0), process(1)), ((WORD, (0, 7)),), (3,), (4, 5))
    for word in (FleetWord(News()), FleetWord(news), FleetWord(news, HERE, 2)):
        assert read_fleet_word(write_fleet_word(word)) == word


def test_a_roster_is_packed() -> None:
    """Ten thousand processes are some 300 KB in the store, and not 5 MB."""
    word = FleetWord(News(tuple(process(number) for number in range(1_000))))
    data = write_fleet_word(word)
    assert len(data) < 60_000
    assert read_fleet_word(data) == word


def test_ten_thousand_acknowledgements_are_one_word() -> None:
    word = FleetWord(News(acknowledged=((WORD, tuple(range(10_000))),)), HERE)
    assert len(write_fleet_word(word)) < 20_000


def test_what_is_no_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut, foreign, later, or a bomb."""
    data = write_fleet_word(FleetWord(News(tuple(process(number) for number in range(100)))))
    for bad in (b"", b"\x02x", b"\x00\xff", data[:-9], PACKED + b"junk"):
        with pytest.raises(WireError):
            read_fleet_word(bad)
    monkeypatch.setattr(fleet, "WORD_BYTES_MAX", 1_000)
    with pytest.raises(WireError):
        read_fleet_word(PACKED + zlib.compress(bytes(1_000_000)))
