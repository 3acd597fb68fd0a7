"""What a client says of itself is cut to size; what is sent is what the wire's reader reads."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.delivery import read_response
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Drain, Part, Reset
from rollout_sdk.wire.records import WireRecord
from rollout_sdk.wire.v1 import delivery_pb2, ruleset_pb2
from rollout_server.api import convert_delivery as convert
from rollout_server.errors import InvalidInput

HERE = Position("e1", 7, b"d" * 32)


def hello(**said: object) -> delivery_pb2.Hello:
    return delivery_pb2.Hello(**{"instance_id": "i-1", **said})  # type: ignore[arg-type]


def test_a_greeting_is_read_whole() -> None:
    held = ruleset_pb2.Position(epoch="e1", revision=7, digest=b"d" * 32)
    refused = delivery_pb2.Quarantine(flag="checkout", version=3, error="cannot")
    greeting = convert.greeting_of(
        hello(
            sdk_version="1.2", capabilities=["op:in"], service="web", host="h", pid=7, held=held, quarantined=[refused]
        )
    )
    assert (greeting.sdk_version, greeting.capabilities, greeting.service) == ("1.2", ("op:in",), "web")
    assert (greeting.host, greeting.pid, greeting.held) == ("h", 7, HERE)
    assert [(one.flag, one.version, one.error) for one in greeting.quarantined] == [("checkout", 3, "cannot")]
    assert convert.greeting_of(hello()).held is None


@pytest.mark.parametrize("instance_id", ["", "x" * 65, "a\nb", "ünï", "a\x00"])
def test_an_instance_without_a_usable_id_is_refused(instance_id: str) -> None:
    with pytest.raises(InvalidInput, match="instance id"):
        convert.greeting_of(hello(instance_id=instance_id))


def test_what_is_shown_to_people_moves_no_cursor() -> None:
    """Names come from anywhere, and end on a terminal at 3 a.m."""
    greeting = convert.greeting_of(hello(service="a\x1b[2Jb\u202e", host="x" * 5_000, sdk_version="\n"))
    assert (greeting.service, len(greeting.host), greeting.sdk_version) == ("a?[2Jb?", 128, "?")


def test_lists_are_bounded() -> None:
    refused = [delivery_pb2.Quarantine(flag=f"f-{n}", error="e" * 9_999) for n in range(10_001)]
    greeting = convert.greeting_of(hello(capabilities=[f"op:{n}" for n in range(600)], quarantined=refused))
    assert (len(greeting.capabilities), len(greeting.quarantined)) == (512, 10_000)
    assert len(greeting.quarantined[0].error) == 256
    long = ruleset_pb2.Position(epoch="e" * 9_999, revision=1, digest=b"d" * 9_999)
    position = convert.acknowledgement_of(delivery_pb2.Acknowledge(position=long)).position
    assert (len(position.epoch), len(position.digest)) == (128, 128)


def test_equal_acknowledgements_are_one_object_unless_they_are_large() -> None:
    """A revision in force is one position, and not one for each process; what one refuses is not kept."""
    digest = b"x" * 32

    def acknowledge(*flags: str) -> Acknowledgement:
        refused = [delivery_pb2.Quarantine(flag=flag, version=1, error="cannot") for flag in flags]
        held = ruleset_pb2.Position(epoch="e1", revision=7, digest=b"d" * 32)
        message = delivery_pb2.Acknowledge(position=held, ruleset_digest=digest, quarantined=refused)
        return convert.acknowledgement_of(message)

    assert acknowledge() is acknowledge()
    assert acknowledge() == Acknowledgement(HERE, digest, ())
    flags = [f"flag-{number}" for number in range(50)]
    assert acknowledge(*flags) == acknowledge(*flags)
    assert acknowledge(*flags) is not acknowledge(*flags)
    assert [one.flag for one in acknowledge(*flags).quarantined] == flags


def test_equal_capabilities_are_one_object() -> None:
    """Ten thousand processes of one release hold one list."""
    first, second = (convert.greeting_of(hello(capabilities=["op:in", "op:regex"])) for _ in range(2))
    assert first.capabilities is second.capabilities


def test_what_is_written_is_what_is_read() -> None:
    data = ruleset_pb2.Record(kind=ruleset_pb2.RECORD_KIND_FLAG, key="a", version=3, payload=b"p").SerializeToString()
    part = Part(False, 5, HERE, b"r" * 32, ((b"c", b"data"),), (WireRecord(1, "a", 3, data),), ((3, "a"),), more=True)
    response = delivery_pb2.WatchResponse.FromString(convert.update(part, 99))
    assert read_response(response) == part
    assert response.update.committed_at_ms == 99
    for message, written in (
        (Reset("why"), convert.reset("why")),
        (Bookmark(HERE, b"r", 250), convert.bookmark(HERE, b"r", 250)),
        (Drain(7), convert.drain(7)),
    ):
        assert read_response(delivery_pb2.WatchResponse.FromString(written)) == message
