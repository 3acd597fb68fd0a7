"""What relays say is read within bounds."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Acknowledgement, Greeting
from rollout_sdk.wire.relaying import Joined, News, write_news, write_relay_hello
from rollout_sdk.wire.v1 import delivery_pb2 as pb
from rollout_server.api import convert_relay
from rollout_server.api.convert_relay import news_of, relay_of
from rollout_server.errors import InvalidInput

HERE = Position("e1", 7, b"d7")


def test_news_are_read_as_they_were_meant() -> None:
    here = Joined(1, "t-1", Greeting("i-1", "1", ("op:in",), "web", "h", 7, HERE), 30)
    gone = Joined(2, "t-1", Greeting("i-2", "1", (), "web", "h", 8), 50, away_ms=4)
    news = News((here, gone), ((Acknowledgement(HERE, b"r"), (1,)),), (3,), (4,))
    assert news_of(pb.RelayRequest.FromString(write_news(news)).news) == news


def test_a_hello_is_read() -> None:
    """Its name is shown to people: it is cut and cleaned."""
    assert relay_of(pb.RelayRequest.FromString(write_relay_hello("eu\x1b[2J", HERE)).hello) == ("eu?[2J", HERE)
    assert relay_of(pb.RelayHello(name="x" * 99)) == ("x" * 64, None)
    with pytest.raises(InvalidInput):
        relay_of(pb.RelayHello(name=" "))


def test_too_much_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a process that does not say which it is."""
    monkeypatch.setattr(convert_relay, "NEWS_MAX", 2)
    with pytest.raises(InvalidInput, match="3 processes"):
        news_of(pb.RelayNews(left=[1, 2], lost=[3]))
    with pytest.raises(InvalidInput, match="instance id"):
        news_of(pb.RelayNews(joined=[pb.RelayedProcess(number=1)]))
