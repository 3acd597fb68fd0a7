"""The Watch stream's messages."""

from rollout_sdk.wire.codec import record_of_flag
from rollout_sdk.wire.delivery import (
    read_position,
    read_response,
    write_acknowledgement,
    write_goodbye,
    write_greeting,
    write_position,
)
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Drain, Greeting, Part, Quarantined, Reset
from rollout_sdk.wire.v1 import delivery_pb2, ruleset_pb2
from tests.small_rules import full, position


def test_what_the_server_says_becomes_plain_data() -> None:
    """Each of its messages, field by field."""
    record = record_of_flag(full(), 7)
    message = delivery_pb2.WatchResponse(
        update=delivery_pb2.Update(
            base_revision=6,
            position=write_position(position(7)),
            chunks=[ruleset_pb2.Chunk(digest=b"d", data=b"x")],
            records=[ruleset_pb2.Record.FromString(record.data)],
            removed=[ruleset_pb2.RecordId(kind=ruleset_pb2.RECORD_KIND_COHORT, key="old")],
            ruleset_digest=b"r",
            more=True,
        )
    )
    assert read_response(message) == Part(
        False, 6, position(7), b"r", ((b"d", b"x"),), (record,), ((2, "old"),), more=True
    )
    bookmark = delivery_pb2.Bookmark(position=write_position(position(8)), ruleset_digest=b"r")
    assert read_response(delivery_pb2.WatchResponse(bookmark=bookmark)) == Bookmark(position(8), b"r")
    reset = delivery_pb2.Reset(reason="restored")
    assert read_response(delivery_pb2.WatchResponse(reset=reset)) == Reset("restored")
    drain = delivery_pb2.Drain(reconnect_within_ms=5)
    assert read_response(delivery_pb2.WatchResponse(drain=drain)) == Drain(5)


def test_a_message_of_a_later_release_is_passed_over() -> None:
    """New words must not end an old conversation."""
    assert read_response(delivery_pb2.WatchResponse()) is None


def test_what_the_client_says_reaches_the_wire_whole() -> None:
    """Hello, acknowledgement and goodbye, field by field."""
    refused = Quarantined("full", 7, "no operator 'telepathy'")
    hello = write_greeting(Greeting("i", "1.0", ("law:1",), "shop", "host", 42, position(7), (refused,))).hello
    assert (hello.instance_id, hello.sdk_version, list(hello.capabilities)) == ("i", "1.0", ["law:1"])
    assert (hello.service, hello.host, hello.pid) == ("shop", "host", 42)
    assert read_position(hello.held) == position(7)
    assert [(each.flag, each.version, each.error) for each in hello.quarantined] == [("full", 7, refused.error)]
    answer = write_acknowledgement(Acknowledgement(position(7), b"r", (refused,))).acknowledge
    assert (read_position(answer.position), answer.ruleset_digest) == (position(7), b"r")
    assert answer.quarantined[0].flag == "full"
    assert write_goodbye("closed").goodbye.reason == "closed"


def test_a_client_that_holds_nothing_says_so_by_absence() -> None:
    """An absent position asks for a snapshot; a blank one would be a lie."""
    hello = write_greeting(Greeting("i", "1.0", (), "", "", 1)).hello
    assert not hello.HasField("held")
