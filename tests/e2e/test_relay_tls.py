"""A relay that speaks TLS with upstream: by authority, by certificate, through renewals, and what it says if not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk import Client
from rollout_server.app import follow_upstream
from tests.certificates import Authority
from tests.small_relay import USER, WAIT_S, Region, region_of, until
from tests.small_server import Person, World, bearer, flag, serving


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that dials again within a tenth of a second."""
    monkeypatch.setattr(follow_upstream, "RETURN_WITHIN_MAX_MS", 100)


@dataclass
class Abroad:
    """A region whose server speaks TLS, and the files of both sides.

    Attributes:
        ca: signed the server's certificate; `authorities` is what the relay trusts.
        own: where the relay's certificate lies, where it has one.
    """

    region: Region
    ca: Authority
    files: Path

    @property
    def authorities(self) -> Path:
        return self.files / "ca.pem"

    @property
    def own(self) -> Path:
        return self.files / "relay"

    @property
    def certificate(self) -> dict[str, Path]:
        return {"upstream_tls_cert": self.own / "cert.pem", "upstream_tls_key": self.own / "key.pem"}

    async def serves(self, client: Client) -> None:
        """A kill reaches the process, and so does its end."""
        await self.region.house.admin.kill("a")
        await until(lambda: client.decide("a", USER).reason.value == "killed")
        await self.region.house.admin.unkill("a")
        await until(lambda: client.enabled("a", USER))


@asynccontextmanager
async def abroad(tmp_path: Path, clients: Authority | None = None) -> AsyncIterator[Abroad]:
    """A server with one flag that is on, which asks for certificates of these clients, if any."""
    ca, files = Authority(), tmp_path / "files"
    (files / "relay").mkdir(parents=True)
    cert, key = ca.sign().write(files)
    (files / "ca.pem").write_bytes(ca.pem)
    options: dict[str, Path] = {"tls_cert": cert, "tls_key": key}
    mine = (clients or ca).sign("admin")
    if clients is not None:
        options["tls_client_ca"] = files / "clients.pem"
        options["tls_client_ca"].write_bytes(clients.pem)
    async with serving(tmp_path / "server", **options) as running:
        credentials = grpc.ssl_channel_credentials(ca.pem, mine.key, mine.cert)
        async with grpc.aio.secure_channel(running.address, credentials) as channel:
            admin = Person(channel, bearer(await running.token("admin")))
            await admin.apply(flag("a", "on"))
            house = World(running, channel, admin, bearer(await running.token("sdk")))
            async with region_of(house, tmp_path / "relay") as region:
                yield Abroad(region, ca, files)


async def test_a_relay_follows_over_tls_and_trusts_a_new_authority_without_a_restart(tmp_path: Path) -> None:
    """The server changes its authority: the relay serves on, and follows again once its file names the new one."""
    async with abroad(tmp_path) as here, here.region.relay(upstream_tls_ca=here.authorities) as relay:
        client = await here.region.ready(relay.address)
        await here.serves(client)
        new = Authority("new authority")
        new.sign().write(here.files)
        here.region.line.cut()
        await until(lambda: not relay.relayed.is_following)
        assert client.enabled("a", USER), "what was heard last is served"
        here.authorities.write_bytes(here.ca.pem + new.pem)
        await until(lambda: relay.relayed.is_following)
        await here.serves(client)


async def test_a_relay_shows_its_certificate_and_takes_up_a_renewed_one(tmp_path: Path) -> None:
    """Besides its token; one that has expired is renewed while the relay runs."""
    clients = Authority("clients")
    async with abroad(tmp_path, clients) as here:
        clients.sign("relay", days=-1).write(here.own)
        async with here.region.relay(upstream_tls_ca=here.authorities, **here.certificate) as relay:
            client = await here.region.client(relay.address)
            assert relay.relayed.fan_out.held is None
            clients.sign("relay").write(here.own)
            await until(lambda: client.enabled("a", USER))
            await here.serves(client)


async def test_tls_on_both_sides_of_a_relay(tmp_path: Path) -> None:
    """Processes trust the relay's authority, and the relay trusts upstream's."""
    own = Authority("the region's own")
    async with abroad(tmp_path) as here:
        cert, key = own.sign().write(here.own)
        (here.own / "ca.pem").write_bytes(own.pem)
        options = {"upstream_tls_ca": here.authorities, "tls_cert": cert, "tls_key": key}
        async with here.region.relay(**options) as relay:
            client = await here.region.ready(relay.address, tls_ca=str(here.own / "ca.pem"))
            await here.serves(client)


async def relay_says(directory: Path, **settings: Any) -> tuple[dict[str, Any], int]:
    """Run `rollout serve` until its log says what is wrong; return that, and how it ended then."""
    about = {"data": directory, "environments": "production", "listen": "127.0.0.1:0", "http_listen": "", **settings}
    variables = {f"ROLLOUT_{name.upper()}": str(value) for name, value in about.items()}
    relay = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rollout_server", "serve", env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE
    )
    assert relay.stderr is not None
    async with asyncio.timeout(WAIT_S):
        while line := await relay.stderr.readline():
            said = json.loads(line)
            if said["level"] == "warning":
                relay.terminate()
                await relay.stderr.read()
                return said, await relay.wait()
    raise AssertionError(f"it ended: {await relay.wait()}")


async def test_the_log_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    """In words, never with the token; which words there are, unit tests of `upstream_refusals` say."""
    async with abroad(tmp_path) as here:
        (here.files / "other.pem").write_bytes(Authority("another authority").pem)
        there = here.region.house.running.address
        cases: list[tuple[dict[str, Any], str, str]] = [
            ({"upstream_tls_ca": here.files / "other.pem"}, "was not signed by an authority in", "upstream_tls_ca"),
            ({}, "ended the connection", "it may speak TLS"),
        ]
        for number, (settings, words, cure) in enumerate(cases):
            about = {"upstream": there, "upstream_token": here.region.secret, **settings}
            said, code = await relay_says(tmp_path / f"relay-{number}", **about)
            assert said["event"] == "upstream cannot be followed; what was heard last is served"
            assert words in said["why"]
            assert cure in said["hint"]
            assert here.region.secret not in json.dumps(said)
            assert code == 0


async def test_plaintext_off_this_machine_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """Tokens would be read on the way; who encrypts it by other means says so, and is believed."""
    about = {**os.environ, "ROLLOUT_UPSTREAM_TOKEN": "rg_x", "ROLLOUT_DATA": str(tmp_path), "ROLLOUT_HTTP_LISTEN": ""}
    command = [sys.executable, "-m", "rollout_server", "serve", "--upstream", "far.example.com:7070"]
    relay = await asyncio.create_subprocess_exec(*command, env=about, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(relay.communicate(), WAIT_S)
    assert relay.returncode == 2
    assert b"clear text" in said
    assert b"upstream_insecure" in said
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a look at what was not made
    settings = {"upstream": "far.invalid:7070", "upstream_token": "rg_x", "upstream_insecure": "yes"}
    found, code = await relay_says(tmp_path, **settings)
    assert (found["why"].partition(":")[0], code) == ("far.invalid", 0)
