"""Delivery over real gRPC: every process is led to the present, and the server knows who runs what."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from rollout_sdk.engine.model import FlagState, Position
from rollout_sdk.wire.codec import decode_record
from rollout_sdk.wire.messages import Bookmark, Drain, Part, Reset
from rollout_sdk.wire.records import RecordKind, WireRecord
from rollout_server.api.speaking import Room, Stream
from rollout_server.errors import Unavailable
from tests.reader import Reader
from tests.small_server import Process, World, bearer, channel_to, document, flag, serving, states, world

# Without probing, gRPC lets a peer send 64 KiB ahead of what is read, and no more.
WINDOW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))


def killed(reader: Reader, key: str) -> bool:
    data = reader.records.get((RecordKind.FLAG_STATE, key))
    if data is None:
        return False
    state = decode_record(WireRecord(RecordKind.FLAG_STATE, key, 0, data))
    assert isinstance(state, FlagState)
    return state.killed


async def settled(around: World, process: Process, state: str) -> None:
    """Return once the server says so of the process; acknowledgements have no answer."""
    told = ""
    while told != state:
        told = states(await around.admin.instances()).get(process.instance_id, "")


async def test_a_change_reaches_a_process_and_is_known_to_be_in_force(tmp_path: Path) -> None:
    """The road from change to decision, and the proof of its end."""
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"))
        process = await around.process()
        first = await process.next()
        assert isinstance(first, Part)
        assert first.snapshot
        await process.acknowledge()
        await settled(around, process, "IN_FORCE")
        applied = await around.admin.apply(flag("checkout", "on"))
        second = await process.next()
        assert isinstance(second, Part)
        assert not second.snapshot
        assert second.position.revision == applied.entry.revision
        assert second.position.digest == applied.entry.digest
        await settled(around, process, "STRAGGLING")
        await process.acknowledge()
        await settled(around, process, "IN_FORCE")
        (told,) = await around.admin.instances()
        assert told.lag_ms >= 0
        assert (told.service, told.host, told.pid, told.sdk_version) == ("shop", "h", 7, "1")


async def test_a_kill_reaches_a_flag_that_is_quarantined(tmp_path: Path) -> None:
    """A refused flag keeps its last good rules, and is killed all the same."""
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"))
        process = await around.process()
        await process.next()
        await process.acknowledge("checkout")
        await settled(around, process, "QUARANTINED")
        (told,) = await around.admin.instances()
        assert list(told.quarantined_flags) == ["checkout"]
        await around.admin.kill("checkout")
        await process.next()
        assert killed(process.reader, "checkout")
        await around.admin.unkill("checkout")
        await process.next()
        assert not killed(process.reader, "checkout")


async def test_who_comes_back_is_led_on_by_a_delta(tmp_path: Path) -> None:
    """Resuming costs what changed, deletions included, also across a restart of the server."""
    async with world(tmp_path) as around:
        await around.admin.apply(*(flag(f"flag-{n}") for n in range(50)))
        process = await around.process()
        await process.next()
        process.stream.cancel()
        await around.admin.apply(*(flag(f"flag-{n}") for n in range(1, 50)), prune=True)
    async with world(tmp_path) as around:
        applied = await around.admin.apply(flag("new"))
        back = await around.process(process.reader)
        await back.reach(applied.entry.revision)
        assert [part.snapshot for part in back.seen if isinstance(part, Part)] == [False]
        assert {key for _, key in back.reader.records} == {"new"} | {f"flag-{n}" for n in range(1, 50)}


async def test_who_holds_the_present_gets_a_bookmark_at_once_and_in_silence(tmp_path: Path) -> None:
    """Proof that both agree, cheap enough to give often."""
    async with world(tmp_path, bookmark_every_ms=100) as around:
        await around.admin.apply(flag("checkout"))
        process = await around.process()
        await process.next()
        again = await around.process(process.reader)
        for _ in range(3):
            mark = await again.next()
            assert isinstance(mark, Bookmark)
            assert (mark.position, mark.ruleset_digest) == (process.reader.held, process.reader.digest)


async def test_a_position_of_another_history_is_reset(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"))
        process = await around.process(Reader(held=Position("elsewhere", 7, b"x"), records={(1, "ghost"): b""}))
        assert isinstance(await process.next(), Reset)
        update = await process.next()
        assert isinstance(update, Part)
        assert update.snapshot
        assert {key for _, key in process.reader.records} == {"checkout"}


async def test_a_lost_tail_is_seen_by_every_stream(tmp_path: Path) -> None:
    """One client that holds what is gone: a new epoch, and nobody goes back within one."""
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"))
        witness = await around.process()
        await witness.next()
        before = witness.reader.held
        assert before is not None
        ahead = await around.process(Reader(held=Position(before.epoch, before.revision + 9, b"gone")))
        assert isinstance(await ahead.next(), Reset)
        assert isinstance(await ahead.next(), Part)
        assert isinstance(await witness.next(), Reset)
        await witness.next()
        after = witness.reader.held
        assert after is not None
        assert after == ahead.reader.held
        assert after.epoch != before.epoch


async def test_a_goodbye_and_a_loss_are_not_the_same(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        polite, lost = await around.process(), await around.process()
        for process in (polite, lost):
            await process.next()
            await process.acknowledge()
            await settled(around, process, "IN_FORCE")
        await polite.goodbye()
        assert await polite.ended() is grpc.StatusCode.OK
        lost.stream.cancel()
        await settled(around, lost, "UNREACHABLE")
        assert set(states(await around.admin.instances())) == {lost.instance_id}
        assert (await around.admin.status()).instances_connected == 0


async def test_a_revoked_token_cuts_its_open_streams(tmp_path: Path) -> None:
    """Within two seconds, and nobody else's."""
    async with world(tmp_path) as around:
        created = await around.admin.token("sdk")
        theirs = Process(around.channel, bearer(created.secret))
        await theirs.connect()
        mine = await around.process()
        await theirs.next()
        await mine.next()
        await around.admin.revoke(created.token.id)
        assert await theirs.ended() is grpc.StatusCode.PERMISSION_DENIED
        await around.admin.apply(flag("checkout"))
        while not mine.reader.records:
            await mine.next()


async def test_an_expired_token_cuts_its_open_streams(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        environment = around.running.served["production"].environment
        process = await around.process()
        await process.next()
        environment.clock.now_ms = lambda: 1 << 50  # type: ignore[method-assign] # years later
        assert await process.ended() is grpc.StatusCode.PERMISSION_DENIED


async def test_streams_of_a_token_are_limited(tmp_path: Path) -> None:
    async with world(tmp_path, streams_per_token_max=2) as around:
        for _ in range(2):
            await (await around.process()).next()
        third = await around.process()
        assert await third.ended() is grpc.StatusCode.UNAVAILABLE
        assert "streams_per_token_max" in str(await third.stream.details())
        other = Process(around.channel, bearer(await around.running.token("sdk")))
        await other.connect()
        await other.next()


async def test_a_stream_begins_with_hello_and_soon(tmp_path: Path) -> None:
    """Who says nothing holds nothing of ours for long."""
    async with world(tmp_path, hello_within_ms=100) as around:
        mute = Process(around.channel, around.sdk)
        mute.open()
        assert await mute.ended() is grpc.StatusCode.UNAVAILABLE


async def test_a_stream_has_one_hello_and_it_comes_first(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        rude = Process(around.channel, around.sdk, Reader(held=Position("", 0)))
        rude.open()
        await rude.acknowledge()
        assert await rude.ended() is grpc.StatusCode.INVALID_ARGUMENT
        twice = await around.process()
        await twice.next()
        await twice.hello()
        assert await twice.ended() is grpc.StatusCode.INVALID_ARGUMENT
        nameless = Process(around.channel, around.sdk, instance_id="")
        await nameless.connect()
        assert await nameless.ended() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_server_that_stops_sends_its_streams_elsewhere(tmp_path: Path) -> None:
    """The last word on every stream is how long to wait at most before coming back."""
    async with serving(tmp_path, reconnect_within_ms=1_234) as running:
        channel = grpc.aio.insecure_channel(running.address)
        sdk = bearer(await running.token("sdk"))
        processes = [Process(channel, sdk) for _ in range(5)]
        for process in processes:
            await process.connect()
            await process.next()
    for process in processes:
        drained = await process.next()
        assert isinstance(drained, Drain)
        assert drained.reconnect_within_ms == 1_234
        assert await process.ended() is grpc.StatusCode.OK
    await channel.close()


@pytest.mark.parametrize("readers", [pytest.param(20), pytest.param(200, marks=pytest.mark.soak)])
async def test_who_never_reads_costs_little_and_is_led_on_when_it_does(tmp_path: Path, readers: int) -> None:
    """Coalesced to the latest: after many edits a late reader takes one step, not one for each (promise 15)."""
    edits = 1_000 if readers == 200 else 40
    async with world(tmp_path) as around, channel_to(around.running.address, *WINDOW) as channel:
        await around.admin.apply(flag("flag-0"))
        processes = [Process(channel, around.sdk) for _ in range(readers)]
        for process in processes:
            await process.connect()
            await process.next()
        revision = 0
        for number in range(edits):
            spec = {
                "default": "on" if number % 2 else "off",
                "targets": {"on": [f"user-{number}-{n}" for n in range(4_000)]},
            }
            revision = (await around.admin.apply(document("Flag", "flag-0", spec))).entry.revision
        for process in processes:
            await process.reach(revision)
            assert len(process.seen) <= edits // 2
        assert len({process.reader.digest for process in processes}) == 1


async def test_who_was_connected_before_a_restart_is_missed_after_it(tmp_path: Path) -> None:
    """The proof after a crash counts those who have not come back yet."""
    async with world(tmp_path) as around:
        process = await around.process()
        await process.next()
    async with world(tmp_path) as around:
        assert states(await around.admin.instances()) == {process.instance_id: "UNREACHABLE"}
        back = Process(around.channel, process.metadata, process.reader, process.instance_id)
        await back.connect()
        await back.next()
        await back.acknowledge()
        await settled(around, back, "IN_FORCE")


@pytest.mark.parametrize("moment", ["at once", "while it speaks", "in silence", "when it is stuck"])
async def test_a_stream_that_is_cut_learns_it_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """No client waits for ever on a stream that the server has given up."""
    entered: list[Stream] = []
    enter = Room.enter

    def noted(room: Room, stream: Stream) -> None:
        entered.append(stream)
        enter(room, stream)
        if moment == "at once":
            stream.end(Unavailable("client", "cut"))

    monkeypatch.setattr(Room, "enter", noted)
    async with world(tmp_path) as around, channel_to(around.running.address, *WINDOW) as channel:
        await around.admin.apply(flag("flag-0"))
        process = Process(channel, around.sdk)
        await process.connect()
        if moment != "at once":
            await process.next()
        number = 0
        while moment == "when it is stuck" and (number < 20 or not entered[0].is_speaking):
            number += 1
            targets = {"on": [f"user-{number}-{n}" for n in range(4_000)]}
            await around.admin.apply(document("Flag", "flag-0", {"targets": targets}))
        if moment == "while it speaks":
            entered[0].speak()
        if moment != "at once":
            entered[0].end(Unavailable("client", "cut"))
        assert await process.ended() is grpc.StatusCode.UNAVAILABLE
        while around.running.served["production"].streams:
            await around.admin.status()
