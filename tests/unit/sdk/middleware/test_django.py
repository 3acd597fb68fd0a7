"""Django: a scope around each request, where the user is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings

from rollout_sdk import Context, Scope, current_scope
from rollout_sdk.middleware.django import ATTRIBUTE, RolloutMiddleware
from rollout_sdk.testing import RulesetClient
from tests.telemetry_world import launch_ruleset

if not settings.configured:
    settings.configure()

CLIENT = RulesetClient(launch_ruleset())


def visitor(request: Any) -> Context:
    return Context(request.user)


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    with override_settings(ROLLOUT_CLIENT=CLIENT, ROLLOUT_CONTEXT=visitor):
        yield


def request(user: str = "u-1") -> Any:
    made = HttpRequest()
    made.user = user
    return made


def test_the_view_is_in_the_scope_of_its_user() -> None:
    """`request.rollout` is it; afterwards the thread is clean."""

    def view(request: Any) -> HttpResponse:
        assert current_scope() is getattr(request, ATTRIBUTE)
        assert request.rollout.context.units == {"user": "u-1"}
        return HttpResponse("done")

    assert RolloutMiddleware(view)(request()).content == b"done"  # type: ignore[union-attr] # a plain response
    assert current_scope() is None


def test_a_streamed_response_is_in_the_scope() -> None:
    """Django makes its parts after the middleware has returned."""
    seen: list[Scope | None] = []

    def parts() -> Iterator[bytes]:
        for part in (b"a", b"b"):
            seen.append(current_scope())
            yield part

    asked = request()
    response: Any = RolloutMiddleware(lambda _: StreamingHttpResponse(parts()))(asked)
    assert b"".join(response) == b"ab"
    assert seen == [asked.rollout, asked.rollout]
    assert current_scope() is None


def test_a_file_is_left_to_the_server(tmp_path: Any) -> None:
    """It is sent from the disk, without Python."""
    (tmp_path / "a.txt").write_bytes(b"content")
    sent = FileResponse((tmp_path / "a.txt").open("rb"))
    response: Any = RolloutMiddleware(lambda _: sent)(request())
    assert response is sent
    assert response.file_to_stream is not None
    response.close()


async def test_an_asynchronous_view_is_in_the_scope_and_so_is_what_it_streams() -> None:
    """Side by side with others, each in its own."""

    async def view(request: Any) -> StreamingHttpResponse:
        await asyncio.sleep(0)
        assert current_scope() is request.rollout

        async def parts() -> AsyncIterator[bytes]:
            for part in (b"a", b"b"):
                await asyncio.sleep(0)
                assert current_scope() is request.rollout
                yield part

        return StreamingHttpResponse(parts())

    middleware: Any = RolloutMiddleware(view)
    assert iscoroutinefunction(middleware)

    async def ask(user: str) -> bytes:
        response = await middleware(request(user))
        return b"".join([part async for part in response])

    assert await asyncio.gather(*(ask(f"u-{number}") for number in range(8))) == [b"ab"] * 8
    assert current_scope() is None


def test_settings_may_be_paths_and_wrong_ones_are_told_at_the_start() -> None:
    """When the process starts, and not with the first visitor."""
    with (
        override_settings(ROLLOUT_CLIENT=f"{__name__}.gone"),
        pytest.raises(ImproperlyConfigured, match="ROLLOUT_CLIENT"),
    ):
        RolloutMiddleware(lambda _: HttpResponse())
    with override_settings(ROLLOUT_CLIENT="os.path"), pytest.raises(ImproperlyConfigured, match=r"rollout_sdk\.Client"):
        RolloutMiddleware(lambda _: HttpResponse())
    with override_settings(ROLLOUT_CONTEXT="os.path"), pytest.raises(ImproperlyConfigured, match="ROLLOUT_CONTEXT"):
        RolloutMiddleware(lambda _: HttpResponse())
    with override_settings(ROLLOUT_CONTEXT=None):
        RolloutMiddleware(lambda _: HttpResponse())(request())
