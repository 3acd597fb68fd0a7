"""Servers in processes of their own: killed at any moment, stopped politely, restored, started wrongly."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.delivery import read_position
from rollout_sdk.wire.messages import Part, Reset
from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.reader import Reader
from tests.small_server import (
    Person,
    Process,
    ServerProcess,
    admin_of,
    bearer,
    channel_to,
    document,
    flag,
    free_port,
    process_on,
    serving,
)

WRITERS = 3


@dataclass
class Acknowledged:
    """What the server said that it wrote."""

    head: Position | None = None
    numbers: dict[int, int] = field(default_factory=dict)

    def note(self, writer: int, number: int, answer: pb.ApplyResponse) -> None:
        self.numbers[writer] = number
        position = Position(answer.position.epoch, answer.entry.revision, answer.entry.digest)
        if self.head is None or position.revision > self.head.revision:
            self.head = position


async def write_until_it_breaks(person: Person, writer: int, known: Acknowledged, enough: asyncio.Event) -> None:
    """Count upwards in a flag of one's own; an answer that never came may or may not have been written."""
    number = known.numbers.get(writer, 0)
    with contextlib.suppress(grpc.aio.AioRpcError):
        while True:
            number += 1
            variants = {"on": True, "off": False}
            spec = {"variants": variants, "default": "off", "targets": {"on": [f"count-{number}"]}}
            known.note(writer, number, await person.apply(document("Flag", f"writer-{writer}", spec)))
            if sum(known.numbers.values()) % 5 == 0:
                enough.set()


async def check_nothing_lost(admin: Person, known: Acknowledged) -> None:
    """Every acknowledged write is there, and the chain holds up to the newest of them."""
    listed = await admin.stub.ListResources(pb.ListResourcesRequest(kind="Flag"), metadata=admin.metadata)
    found = {one.document.key: one.document.json for one in listed.resources}
    for writer, number in known.numbers.items():
        text = found[f"writer-{writer}"]
        count = int(text.split('"count-', 1)[1].split('"', 1)[0])
        assert count in {number, number + 1}, "what was acknowledged, or the one that was under way"
    if known.head is not None:
        head = pb.VerifyAuditRequest()
        head.expected_head.revision = known.head.revision
        head.expected_head.digest = known.head.digest
        head.expected_head.epoch = known.head.epoch
        verified = await admin.stub.VerifyAudit(head, metadata=admin.metadata)
        assert verified.intact, verified.problem


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("kills", [pytest.param(5), pytest.param(100, marks=pytest.mark.soak)])
async def test_no_acknowledged_write_is_lost_by_kill_9(tmp_path: Path, kills: int) -> None:
    """The server is killed amid writes; a process that watched continues by a delta of the same epoch (promise 6)."""
    chance = random.Random(kills)  # noqa: S311 - when to kill, no secret
    known, reader = Acknowledged(), Reader()
    async with ServerProcess(tmp_path, free_port(), log_level="error") as server:
        sdk = ""
        for _ in range(kills):
            await server.start()
            async with channel_to(server.address) as channel:
                admin = await admin_of(tmp_path, channel)
                await check_nothing_lost(admin, known)
                sdk = sdk or (await admin.token("sdk")).secret
                process = Process(channel, bearer(sdk), reader)
                await process.connect()
                enough = asyncio.Event()
                writers = [
                    asyncio.create_task(write_until_it_breaks(admin, writer, known, enough))
                    for writer in range(WRITERS)
                ]
                for _ in range(chance.randint(1, 4)):
                    await enough.wait()
                    enough.clear()
                if known.head is not None:
                    await process.reach(chance.randint(1, known.head.revision))
                await server.end(kill=True)
                await asyncio.gather(*writers)
                assert not any(isinstance(message, Reset) for message in process.seen)
        await server.start()
        async with channel_to(server.address) as channel:
            admin = await admin_of(tmp_path, channel)
            await check_nothing_lost(admin, known)
            process = Process(channel, bearer(sdk), reader)
            await process.connect()
            assert known.head is not None
            await process.reach(known.head.revision)
            whole = Process(channel, bearer(sdk))
            await whole.connect()
            await whole.reach(known.head.revision)
            assert whole.reader.digest == process.reader.digest
        code, said = await server.end(kill=False)
        assert (code, said) == (0, "")


async def test_a_restored_backup_is_a_new_epoch_and_processes_follow(tmp_path: Path) -> None:
    """Going back in time is seen, never taken for the present (promise 4)."""
    old, new = tmp_path / "old", tmp_path / "new"
    async with serving(old) as running, channel_to(running.address) as channel:
        admin = Person(channel, bearer(await running.token("admin")))
        sdk = bearer(await running.token("sdk"))
        await admin.apply(flag("kept"))
        pieces = admin.stub.Backup(pb.BackupRequest(), metadata=admin.metadata)
        copy = b"".join([piece.data async for piece in pieces])
        await admin.apply(flag("lost"))
        process = Process(channel, sdk)
        await process.connect()
        await process.next()
        assert {key for _, key in process.reader.records} == {"kept", "lost"}
    new.mkdir()
    (new / "rollout.db").write_bytes(copy)
    (new / "server-key").write_bytes((old / "server-key").read_bytes())
    (new / "server-key").chmod(0o600)
    async with serving(new) as running, channel_to(running.address) as channel:
        back = Process(channel, sdk, process.reader)
        held = back.reader.held
        await back.connect()
        assert isinstance(await back.next(), Reset)
        assert isinstance(await back.next(), Part)
        assert {key for _, key in back.reader.records} == {"kept"}
        assert back.reader.held is not None
        assert held is not None
        assert back.reader.held.epoch != held.epoch
        admin = Person(channel, admin.metadata)
        position = read_position((await admin.apply(flag("after"))).position)
        await back.reach(position.revision)
        assert {key for _, key in back.reader.records} == {"kept", "after"}


async def test_sigterm_ends_a_server_cleanly_and_tells_its_streams(tmp_path: Path) -> None:
    async with process_on(tmp_path) as server, channel_to(server.address) as channel:
        admin = await admin_of(tmp_path, channel)
        process = Process(channel, bearer((await admin.token("sdk")).secret))
        await process.connect()
        await process.next()
        ending = asyncio.create_task(server.end(kill=False))
        assert await process.ended() is grpc.StatusCode.OK
        code, said = await ending
    assert code == 0
    assert '"event": "stopped"' in said
    assert "admin token of environment production lies in" in said


async def test_a_taken_port_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, options in {"--listen": {}, "--http-listen": {"http_listen": f"127.0.0.1:{port}"}}.items():
            async with process_on(tmp_path, port if name == "--listen" else 0, **options) as server:
                code, said = await server.exit()
            assert code == 1
            assert str(port) in said
            assert name in said


async def test_a_damaged_store_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "rollout.db").write_bytes(b"this is no database" * 1_000)
    async with process_on(tmp_path, 0) as server:
        code, said = await server.exit()
    assert code == 1
    assert "rollout.db" in said
    assert "put a backup made by" in said
