"""A whole server on loopback, in this event loop or in a process of its own, and callers of both contracts."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.delivery import (
    read_response,
    write_acknowledgement,
    write_goodbye,
    write_greeting,
)
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Drain, Greeting, Part, Quarantined, Reset
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1 import control_pb2_grpc, delivery_pb2, delivery_pb2_grpc
from rollout_server.main import Running, start
from rollout_server.settings import Settings, load
from tests.reader import Reader

Metadata = tuple[tuple[str, str], ...]
_numbers = itertools.count(1)


def settings(data: Path, **options: Any) -> Settings:
    """Settings for a server that only this test reaches."""
    quiet = {"data": data, "listen": "127.0.0.1:0", "http_listen": "", "log_level": "error"}
    return load({**quiet, **options})


@asynccontextmanager
async def serving(data: Path, **options: Any) -> AsyncIterator[Running]:
    """Run a server in this event loop."""
    async with start(settings(data, **options)) as running:
        yield running


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def document(kind: str, key: str, spec: dict[str, Any] | None = None) -> pb.Document:
    tree: dict[str, Any] = {"kind": kind, "metadata": {"key": key}, **({"spec": spec} if spec else {})}
    return pb.Document(kind=kind, key=key, json=json.dumps(tree), origin=f"{key}.yaml:1")


def flag(key: str, serve: str = "off") -> pb.Document:
    """A boolean flag that serves one variant to everybody."""
    return document("Flag", key, {"default": serve})


@dataclass
class Person:
    """Somebody with a token and the control contract."""

    channel: grpc.aio.Channel
    metadata: Metadata

    def __post_init__(self) -> None:
        self.stub = control_pb2_grpc.ControlServiceStub(self.channel)

    async def apply(self, *documents: pb.Document, key: str = "", **options: Any) -> pb.ApplyResponse:
        request = pb.ApplyRequest(intent=pb.Intent(idempotency_key=key), documents=documents, **options)
        return await self.stub.Apply(request, metadata=self.metadata)

    async def kill(self, flag_key: str) -> pb.KillResponse:
        return await self.stub.Kill(pb.KillRequest(flag=flag_key), metadata=self.metadata)

    async def unkill(self, flag_key: str) -> pb.UnkillResponse:
        return await self.stub.Unkill(pb.UnkillRequest(flag=flag_key), metadata=self.metadata)

    async def instances(self) -> list[pb.Instance]:
        answer = await self.stub.ListInstances(pb.ListInstancesRequest(), metadata=self.metadata)
        return list(answer.instances)

    async def status(self) -> pb.GetStatusResponse:
        return await self.stub.GetStatus(pb.GetStatusRequest(), metadata=self.metadata)

    async def token(self, role: str) -> pb.CreateTokenResponse:
        request = pb.CreateTokenRequest(role=role, person="somebody@example.com")
        return await self.stub.CreateToken(request, metadata=self.metadata)

    async def revoke(self, token_id: str) -> pb.RevokeTokenResponse:
        return await self.stub.RevokeToken(pb.RevokeTokenRequest(id=token_id), metadata=self.metadata)


@dataclass
class Process:
    """A process with an SDK, as far as the delivery contract sees one; it folds what it gets with `Reader`."""

    channel: grpc.aio.Channel
    metadata: Metadata
    reader: Reader = field(default_factory=Reader)
    instance_id: str = field(default_factory=lambda: f"instance-{next(_numbers)}")
    seen: list[object] = field(default_factory=list)

    def open(self) -> None:
        """Open a stream, and say nothing."""
        self.stream = delivery_pb2_grpc.DeliveryServiceStub(self.channel).Watch(metadata=self.metadata)

    async def connect(self, **said: Any) -> None:
        """Open a stream and say hello with what is held."""
        self.open()
        await self.hello(**said)

    async def hello(self, **said: Any) -> None:
        about = {
            "sdk_version": "1",
            "capabilities": ("type:boolean",),
            "service": "shop",
            "host": "h",
            "pid": 7,
            **said,
        }
        greeting = Greeting(instance_id=self.instance_id, held=self.reader.held, **{**about, **said})
        await self.stream.write(write_greeting(greeting))

    async def next(self) -> Reset | Part | Bookmark | Drain:
        """Return the next message; a whole update comes as its last part, already put in force."""
        parts: list[Part] = []
        while True:
            response = await self.stream.read()
            if not isinstance(response, delivery_pb2.WatchResponse):
                raise EOFError(await self.stream.code())  # noqa: TRY004 - the stream's end is no wrong type
            message = read_response(response)
            assert message is not None
            self.seen.append(message)
            if isinstance(message, Reset):
                self.reader = Reader()
            if not isinstance(message, Part):
                return message
            parts.append(message)
            if not message.more:
                if message.snapshot:
                    held = self.reader.held
                    assert (
                        held is None
                        or held.epoch != message.position.epoch
                        or held.revision <= message.position.revision
                    )
                self.reader.take(tuple(parts))
                return message

    async def acknowledge(self, *refused: str) -> None:
        """Say that what is held is in force, but for these flags."""
        assert self.reader.held is not None
        flags = tuple(Quarantined(key, 1, "cannot evaluate it") for key in refused)
        await self.stream.write(write_acknowledgement(Acknowledgement(self.reader.held, self.reader.digest, flags)))

    async def reach(self, revision: int) -> Position:
        """Read, and acknowledge, until this revision is held."""
        while self.reader.held is None or self.reader.held.revision < revision:
            message = await self.next()
            if isinstance(message, Part):
                await self.acknowledge()
        return self.reader.held

    async def goodbye(self) -> None:
        await self.stream.write(write_goodbye("done"))

    async def ended(self) -> grpc.StatusCode:
        """Read to the end of the stream, and return how it ended."""
        try:
            while True:
                await self.next()
        except (EOFError, grpc.aio.AioRpcError):
            code = await self.stream.code()
            assert isinstance(code, grpc.StatusCode)
            return code


@asynccontextmanager
async def channel_to(address: str, *options: tuple[str, Any]) -> AsyncIterator[grpc.aio.Channel]:
    """A channel that tries again quickly."""
    quick = (("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20))
    async with grpc.aio.insecure_channel(address, options=(*quick, *options)) as channel:
        yield channel


@dataclass
class World:
    """A server in this event loop, its admin, and any number of processes."""

    running: Running
    channel: grpc.aio.Channel
    admin: Person
    sdk: Metadata

    async def person(self, role: str, environment: str = "") -> Person:
        return Person(self.channel, bearer(await self.running.token(role, environment)))

    async def process(self, reader: Reader | None = None, **said: Any) -> Process:
        """A process that is connected."""
        process = Process(self.channel, self.sdk, reader or Reader())
        await process.connect(**said)
        return process


@asynccontextmanager
async def world(data: Path, **options: Any) -> AsyncIterator[World]:
    async with serving(data, **options) as running, channel_to(running.address) as channel:
        admin = Person(channel, bearer(await running.token("admin")))
        yield World(running, channel, admin, bearer(await running.token("sdk")))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class ServerProcess:
    """A server in a process of its own, which can be killed at any moment.

    Attributes:
        program: what Python runs.
    """

    program: tuple[str, ...] = ("-m", "rollout_server")

    def __init__(self, data: Path, port: int, **options: Any) -> None:
        self._environment = {
            **os.environ,
            "ROLLOUT_DATA": str(data),
            "ROLLOUT_LISTEN": f"127.0.0.1:{port}",
            "ROLLOUT_HTTP_LISTEN": "",
            **{f"ROLLOUT_{name.upper()}": str(value) for name, value in options.items()},
        }
        self.address = f"127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.end(kill=True)

    async def start(self) -> None:
        """Return at once; whoever connects waits."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *self.program, "serve", env=self._environment, stderr=asyncio.subprocess.PIPE
        )

    async def end(self, *, kill: bool) -> tuple[int, str]:
        """End it with SIGKILL or SIGTERM; return its exit code and what it said."""
        assert self._process is not None
        (self._process.kill if kill else self._process.terminate)()
        _, said = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, said.decode()

    async def line(self) -> str:
        """Wait for the next line that it says."""
        assert self._process is not None
        assert self._process.stderr is not None
        return (await self._process.stderr.readline()).decode()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, such as one that stops it."""
        assert self._process is not None
        self._process.send_signal(number)

    async def exit(self) -> tuple[int, str]:
        """Wait until it ends by itself."""
        assert self._process is not None
        _, said = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, said.decode()


async def http_get(address: str, path: str) -> tuple[int, str]:
    """Ask over a raw socket; return status and body."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def states(instances: Iterable[pb.Instance]) -> dict[str, str]:
    """Instance id to state, "IN_FORCE"."""
    return {one.instance_id: pb.InstanceState.Name(one.state).removeprefix("INSTANCE_STATE_") for one in instances}


@asynccontextmanager
async def process_on(data: Path, port: int | None = None, **options: str) -> AsyncIterator[ServerProcess]:
    """A server that is gone when the test is."""
    async with ServerProcess(data, free_port() if port is None else port, **options) as server:
        await server.start()
        yield server


async def admin_of(data: Path, channel: grpc.aio.Channel) -> Person:
    """Wait until the server answers, and come with the first token."""
    await asyncio.wait_for(channel.channel_ready(), 60)
    return Person(channel, bearer((data / "first-admin-token").read_text(encoding="ascii").strip()))
