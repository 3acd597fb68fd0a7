"""Composition: a server in this event loop starts, answers, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rollout_server.errors import Corrupt, Unavailable
from rollout_server.main import _admin_token_sentence
from rollout_server.settings import Settings
from rollout_server.stores import STORE_FILE
from tests.small_server import Person, bearer, channel_to, flag, serving


async def test_the_first_start_leaves_a_token_for_each_environment(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, environments="production,staging") as running,
        channel_to(running.address) as channel,
    ):
        names = {name: path.name for name, path in running.first_tokens.items()}
        assert names == {"production": "first-admin-token", "staging": "first-admin-token-staging"}
        for name, path in running.first_tokens.items():
            person = Person(channel, bearer(path.read_text(encoding="ascii").strip()))
            assert (await person.status()).environment == name
    async with serving(tmp_path, environments="production,staging,new") as running:
        assert set(running.first_tokens) == {"new"}
    async with serving(tmp_path, new_admin_token=True) as running:
        assert set(running.first_tokens) == {"production"}


@pytest.mark.parametrize(
    ("address", "tls", "wanted"),
    [
        ("127.0.0.1:7070", None, "ROLLOUT_SERVER=127.0.0.1:7070 ROLLOUT_TOKEN=$(cat t)\n"),
        ("0.0.0.0:7070", Path("c.pem"), "ROLLOUT_SERVER=localhost:7070 ROLLOUT_TOKEN=$(cat t) ROLLOUT_TLS_CA="),
        ("[::]:7070", None, "ROLLOUT_SERVER=localhost:7070 "),
    ],
)
def test_the_first_commands_reach_the_server_as_it_listens(address: str, tls: Path | None, wanted: str) -> None:
    """An address that only a listener can use is not printed for pasting, and TLS is spoken where it is served."""
    settings = Settings(tls_cert=tls, tls_key=tls)
    assert wanted in _admin_token_sentence("production", Path("t"), address, settings)


async def test_a_server_in_this_loop_ends_with_its_context(tmp_path: Path) -> None:
    """No task, no thread of ours and no port stays behind; what was written is there the next time."""
    before = asyncio.all_tasks()
    async with serving(tmp_path, http_listen="127.0.0.1:0") as running, channel_to(running.address) as channel:
        token = await running.token("admin")
        await Person(channel, bearer(token)).apply(flag("checkout"))
    left = {str(task.get_coro()) for task in asyncio.all_tasks() - before if not task.done()}
    assert not {one for one in left if "AioServer" not in one}, "gRPC's own end a little later"
    async with serving(tmp_path) as running, channel_to(running.address) as channel:
        flags = (await Person(channel, bearer(token)).status()).flags
        assert [one.key for one in flags] == ["checkout"]


async def test_a_stopping_server_lets_calls_under_way_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as running, channel_to(running.address) as channel:
        admin = Person(channel, bearer(await running.token("admin")))
        await admin.status()
        writing = [asyncio.create_task(admin.apply(flag(f"flag-{number}"))) for number in range(20)]
        await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
    done = await asyncio.gather(*writing, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) >= 1
    acknowledged = {one.changes[0].key for one in done if not isinstance(one, BaseException)}
    async with serving(tmp_path) as running, channel_to(running.address) as channel:
        viewer = Person(channel, bearer(await running.token("viewer")))
        assert acknowledged <= {one.key for one in (await viewer.status()).flags}


async def test_what_must_never_end_is_noticed_when_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no server than one that cuts no revoked token any more."""
    from rollout_server.api.calls import Calls

    async def broken(_: Calls) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Calls, "keep_cutting", broken)
    async with serving(tmp_path) as running:
        await running.broken.wait()


async def test_a_store_that_is_damaged_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / STORE_FILE).write_bytes(b"nonsense" * 1_000)
    with pytest.raises(Corrupt, match=STORE_FILE):
        async with serving(tmp_path):
            pass


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(Unavailable, match="cannot be made") as caught:
        async with serving(tmp_path / "file" / "data"):
            pass
    assert "--data" in caught.value.hint
