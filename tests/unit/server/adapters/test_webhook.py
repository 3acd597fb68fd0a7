"""Webhooks against a real server: signed, bounded, and only where they may go."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rollout_server.adapters.addresses import Addresses
from rollout_server.adapters.channel_secrets import ChannelSecrets
from rollout_server.adapters.webhook import Webhook, system_tls
from rollout_server.domain.notification import write_notification
from rollout_server.domain.rollouts import ChannelSpec, Transport
from rollout_server.errors import Refused, Unavailable
from tests.certificates import Authority
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.hook_server import ENDLESS, HANG, HookServer, hooks
from tests.small_notifications import message

SECRET = "wh-s3cret-never-seen"
LOOPBACK = Addresses(["127.0.0.0/8", "::1"])
MESSAGE = message(units_exposed=7)


@pytest.fixture
async def hook() -> AsyncIterator[HookServer]:
    async with hooks() as server:
        yield server


def webhook(url: str, secret_env: str = "", **options: Any) -> Webhook:
    given: dict[str, Any] = {
        "addresses": LOOPBACK,
        "secrets": ChannelSecrets(["HOOK"], {"HOOK": SECRET}),
        "clock": FakeClock(),
        **options,
    }
    return Webhook(ChannelSpec(Transport.WEBHOOK, url, secret_env=secret_env), **given)


async def test_it_posts_the_message_with_its_id(hook: HookServer) -> None:
    """The body is the message's JSON, whatever stands in the sentence."""
    await webhook(f"http://127.0.0.1:{hook.port}/in/here?room=7").deliver(MESSAGE)
    (asked,) = hook.requests
    assert (asked.method, asked.path) == ("POST", "/in/here?room=7")
    assert json.loads(asked.body) == write_notification(MESSAGE)
    assert asked.headers["rollout-id"] == MESSAGE.id
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["host"] == f"127.0.0.1:{hook.port}"
    assert "rollout-signature" not in asked.headers


async def test_the_signature_holds_for_whoever_knows_the_secret(hook: HookServer) -> None:
    """HMAC-SHA256 over id, time and body, made here by hand."""
    await webhook(f"http://127.0.0.1:{hook.port}/", "HOOK").deliver(MESSAGE)
    (asked,) = hook.requests
    at_s = asked.headers["rollout-timestamp"]
    signed = b".".join((MESSAGE.id.encode(), at_s.encode(), asked.body))
    wanted = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert asked.headers["rollout-signature"] == f"v1,{wanted}"
    assert at_s == str(START_MS // 1_000)
    assert SECRET not in repr(asked)


@pytest.mark.parametrize("status", [500, 502, 503, 599, 408, 425, 429])
async def test_what_may_pass_is_worth_trying_again(hook: HookServer, status: int) -> None:
    """And then it is taken."""
    hook.answers = [status]
    channel = webhook(f"http://127.0.0.1:{hook.port}/")
    with pytest.raises(Unavailable, match=f"127.0.0.1 answered {status}"):
        await channel.deliver(MESSAGE)
    await channel.deliver(MESSAGE)
    first, second = hook.requests
    assert first.body == second.body
    assert first.headers["rollout-id"] == second.headers["rollout-id"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_success_is_delivered(hook: HookServer, status: int) -> None:
    hook.answers = [status]
    await webhook(f"http://127.0.0.1:{hook.port}/").deliver(MESSAGE)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_a_no_is_a_no(hook: HookServer, status: int) -> None:
    hook.answers = [status]
    with pytest.raises(Refused, match=f"answered {status}"):
        await webhook(f"http://127.0.0.1:{hook.port}/").deliver(MESSAGE)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hook: HookServer, status: int) -> None:
    """It could lead inside, and would carry the signature there."""
    async with hooks() as inside:
        hook.answers, hook.location = [status], f"http://127.0.0.1:{inside.port}/"
        with pytest.raises(Refused, match="redirects are not followed"):
            await webhook(f"http://127.0.0.1:{hook.port}/").deliver(MESSAGE)
        assert inside.requests == []


async def test_an_answer_that_never_comes_is_given_up(hook: HookServer) -> None:
    """The connection is closed, and nobody waits."""
    hook.answers = [HANG]
    with pytest.raises(Unavailable, match="did not answer"):
        await webhook(f"http://127.0.0.1:{hook.port}/", timeout_s=0.2).deliver(MESSAGE)
    if hook.requests:  # it got as far as that in time
        await hook.gone.wait()


async def test_a_name_that_never_resolves_is_given_up() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    with pytest.raises(Unavailable, match="did not answer"):
        await webhook("https://hooks.test/", addresses=Addresses(resolve=never), timeout_s=0.05).deliver(MESSAGE)


async def test_an_answer_without_end_is_not_read(hook: HookServer) -> None:
    hook.answers = [ENDLESS]
    await webhook(f"http://127.0.0.1:{hook.port}/").deliver(MESSAGE)


async def test_nobody_there_is_worth_trying_again(hook: HookServer) -> None:
    async with hooks() as gone:
        port = gone.port
    with pytest.raises(Unavailable, match="cannot be reached"):
        await webhook(f"http://127.0.0.1:{port}/").deliver(MESSAGE)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1"])
async def test_inside_is_refused_before_anything_is_sent(hook: HookServer, host: str) -> None:
    with pytest.raises(Refused, match="not public"):
        await webhook(f"http://{host}:{hook.port}/", addresses=Addresses()).deliver(MESSAGE)
    assert hook.requests == []


async def test_a_name_that_changes_its_mind_leads_nowhere_new(hook: HookServer) -> None:
    """DNS rebinding: what was looked at is connected to, and the name is asked for once."""
    answers = ["127.0.0.1", "127.0.0.66", "127.0.0.66"]

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return [answers.pop(0)]

    channel = webhook(
        f"http://hooks.test:{hook.port}/", addresses=Addresses(["127.0.0.1"], rebinding)
    )  # the system does not know this name at all
    await channel.deliver(MESSAGE)
    (asked,) = hook.requests
    assert (asked.local_host, asked.headers["host"]) == ("127.0.0.1", f"hooks.test:{hook.port}")
    assert len(answers) == 2
    with pytest.raises(Refused, match=r"hooks\.test is 127\.0\.0\.66"):
        await channel.deliver(MESSAGE)
    assert len(hook.requests) == 1


async def test_the_next_address_is_tried_where_one_does_not_answer(hook: HookServer) -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.66", "127.0.0.1"]

    await webhook(f"http://hooks.test:{hook.port}/", addresses=Addresses(["127.0.0.0/8"], two)).deliver(MESSAGE)
    assert [one.local_host for one in hook.requests] == ["127.0.0.1"]


async def test_no_proxy_is_asked(hook: HookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would resolve the name again, on its own terms."""
    async with hooks() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await webhook(f"http://127.0.0.1:{hook.port}/").deliver(MESSAGE)
        assert (len(hook.requests), proxy.requests) == (1, [])


async def local(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def trust(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem.decode())


async def test_a_certificate_is_held_against_the_name_not_the_address(tmp_path: Path) -> None:
    """TLS as ever, although an address is dialled."""
    authority = Authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("hooks.test").write(tmp_path))
    addresses = Addresses(["127.0.0.1"], local)
    async with hooks(tls=context) as hook:
        good, other = f"https://hooks.test:{hook.port}/", f"https://other.test:{hook.port}/"
        await webhook(good, addresses=addresses, tls=lambda: trust(authority)).deliver(MESSAGE)
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await webhook(other, addresses=addresses, tls=lambda: trust(authority)).deliver(MESSAGE)
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await webhook(good, addresses=addresses, tls=lambda: trust(Authority())).deliver(MESSAGE)
        assert len(hook.requests) == 1
    assert system_tls().verify_mode is ssl.CERT_REQUIRED
    assert system_tls().check_hostname


async def test_a_missing_secret_sends_nothing(hook: HookServer) -> None:
    """An unsigned message where a signed one is expected would teach people to believe unsigned ones."""
    with pytest.raises(Refused, match="may not use the variable OTHER"):
        await webhook(f"http://127.0.0.1:{hook.port}/", "OTHER").deliver(MESSAGE)
    assert hook.requests == []


@pytest.mark.parametrize("url", ["http://[::1/", "ftp://127.0.0.1/", "http:///x", "", "http://exa mple/\n"])
async def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="URL"):
        await webhook(url).deliver(MESSAGE)


async def test_no_error_says_anything_secret(hook: HookServer) -> None:
    """Neither the secret nor the URL's path, which is one for many services."""
    channel = webhook(f"http://127.0.0.1:{hook.port}/T0/hidden-path?key=hidden-key", "HOOK", timeout_s=0.2)
    for status in (500, 404, 302, HANG):
        hook.answers = [status]
        with pytest.raises((Refused, Unavailable)) as caught:
            await channel.deliver(MESSAGE)
        said = f"{caught.value} {caught.value.hint}"
        assert SECRET not in said
        assert "hidden" not in said
