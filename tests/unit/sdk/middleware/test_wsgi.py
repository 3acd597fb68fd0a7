"""WSGI: a scope around each request and each part of its response."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from rollout_sdk import Context, Scope, current_scope
from rollout_sdk.middleware.wsgi import SCOPE, RolloutMiddleware
from rollout_sdk.testing import RulesetClient
from tests.telemetry_world import launch_ruleset

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


@pytest.fixture
def client() -> RulesetClient:
    return RulesetClient(launch_ruleset())


def environ(**more: Any) -> WSGIEnvironment:
    made: WSGIEnvironment = {}
    setup_testing_defaults(made)
    return {"QUERY_STRING": "", **made, **more}


def begin(start_response: StartResponse) -> None:
    start_response("200 OK", [("Content-Type", "text/plain")])


def visitor(environ: WSGIEnvironment) -> Context:
    return Context(environ["REMOTE_USER"])


def call(app: WSGIApplication, given: WSGIEnvironment) -> Iterable[bytes]:
    return app(given, lambda *_: lambda _: None)


def test_the_scope_is_around_the_call_and_around_each_part(client: RulesetClient) -> None:
    """A generator runs after the call; between its parts the thread is not in the scope."""
    seen: list[Scope | None] = []

    def app(given: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        begin(start_response)
        for part in (b"a", b"b"):
            seen.append(current_scope())
            yield part
        seen.append(current_scope())

    given = environ(REMOTE_USER="u-1")
    parts = iter(call(RolloutMiddleware(app, client, visitor), given))
    assert next(parts) == b"a"
    assert current_scope() is None
    assert list(parts) == [b"b"]
    assert set(map(id, seen)) == {id(given[SCOPE])}
    assert given[SCOPE].context.units == {"user": "u-1"}


def test_parts_that_other_threads_ask_for_are_in_the_scope(client: RulesetClient) -> None:
    """Some servers do."""
    seen: list[Scope | None] = []

    def app(given: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        begin(start_response)
        seen.append(current_scope())
        yield b"a"

    given = environ()
    parts = iter(call(RolloutMiddleware(app, client), given))
    thread = threading.Thread(target=next, args=(parts,))
    thread.start()
    thread.join()
    assert seen == [given[SCOPE]]


def test_close_reaches_the_application_in_the_scope(client: RulesetClient) -> None:
    """Django sends its request_finished from there."""
    closed: list[Scope | None] = []

    class Response:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

        def close(self) -> None:
            closed.append(current_scope())

    def app(given: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        begin(start_response)
        return Response()

    given = environ()
    parts: Any = call(RolloutMiddleware(app, client), given)
    parts.close()
    assert closed == [given[SCOPE]]


@pytest.mark.parametrize("parts", [[b"a"], (b"a", b"b"), []])
def test_what_is_made_already_is_passed_on_as_it_is(client: RulesetClient, parts: Iterable[bytes]) -> None:
    """Servers take the length of a list for the Content-Length."""
    assert call(RolloutMiddleware(lambda *_: parts, client), environ()) is parts


def test_a_file_stays_a_file(client: RulesetClient) -> None:
    """So that the server may send it by itself."""
    file = FileWrapper(io.BytesIO(b"content"))
    given = environ(**{"wsgi.file_wrapper": FileWrapper})
    assert call(RolloutMiddleware(lambda *_: file, client), given) is file


def test_the_protocol_is_kept(client: RulesetClient) -> None:
    """As the standard library's validator understands it, on both sides."""

    def app(given: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        begin(start_response)
        yield b"a"

    wrapped = validator(RolloutMiddleware(validator(app), client))
    parts: Any = call(wrapped, environ())
    assert b"".join(parts) == b"a"
    parts.close()


def test_what_the_application_raises_is_passed_on_and_nothing_is_left(client: RulesetClient) -> None:
    """The thread serves the next request clean."""

    def app(given: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        call(RolloutMiddleware(app, client), environ())
    assert current_scope() is None
