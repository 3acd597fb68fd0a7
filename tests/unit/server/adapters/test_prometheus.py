"""How Prometheus is asked, and what becomes of a server that fails; tests/contract has a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from rollout_sdk.engine.model import PPM, Arm
from rollout_server.adapters.prometheus import BYTES_MAX, WINDOWS_MAX, Prometheus, open_prometheus
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.metric_source import Asked, MetricQuery, MetricWindows, Slot
from rollout_server.errors import InvalidInput

ALONE = Slot(PPM, Arm.CANDIDATE)
COUNTERS = MetricQuery("errors", (Asked(ALONE, "errors", "requests"),), late_ms=15_000)
BARE = MetricQuery("ratio", (Asked(ALONE, "a / b"),), late_ms=15_000, span_ms=30_000)
URL = "http://prometheus:9090/root"

Answer = Callable[[httpx2.Request], httpx2.Response]


def matrix(*values: tuple[float, float]) -> httpx2.Response:
    result = [{"metric": {}, "values": [[at_s, str(value)] for at_s, value in values]}] if values else []
    return httpx2.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})


async def asked(answer: Answer, query: MetricQuery = COUNTERS, after: int = 0, through: int = 2) -> MetricWindows:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        return await Prometheus(client, URL, 5_000).windows(query, after, through, 10_000)


async def test_counters_are_asked_for_their_samples() -> None:
    """As they were scraped, from five minutes before the first window to the end of the last."""
    forms: list[dict[str, list[str]]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert (request.method, str(request.url)) == ("POST", f"{URL}/api/v1/query")
        forms.append(parse_qs(request.content.decode()))
        return matrix((15, 1), (25, 4))

    found = await asked(answer)
    assert sorted(form["query"][0] for form in forms) == ["errors[320000ms]", "requests[320000ms]"]
    assert {form["time"][0] for form in forms} == {"30.000"}
    assert {form["timeout"][0] for form in forms} == {"5000ms"}
    assert [(one.window, one.cells[ALONE].n) for one in found.windows] == [(1, 0), (2, 3)]


async def test_a_bare_ratio_is_asked_step_by_step() -> None:
    """At the end of each window; of the last one, where none is new."""
    forms: list[dict[str, list[str]]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == f"{URL}/api/v1/query_range"
        forms.append(parse_qs(request.content.decode()))
        return matrix((20, 0.2), (30, 0.5))

    found = await asked(answer, BARE)
    assert [(one.window, one.cells[ALONE].x) for one in found.windows] == [(2, 0.5)]
    await asked(answer, BARE, after=2)
    asked_for = [{name: form[name][0] for name in ("query", "start", "end", "step")} for form in forms]
    assert asked_for == [
        {"query": "a / b", "start": "20.000", "end": "30.000", "step": "10.000"},
        {"query": "a / b", "start": "30.000", "end": "30.000", "step": "10.000"},
    ]


async def test_one_question_is_bounded() -> None:
    """After a long pause the next one goes on."""
    found = await asked(lambda _: matrix((15, 1), (605, 1)), after=0, through=10_000)
    assert found.through == WINDOWS_MAX


def refuse(error: Exception) -> Answer:
    def answer(_: httpx2.Request) -> httpx2.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "reason", "said"),
    [
        (refuse(httpx2.ConnectError("refused")), Reason.UNREACHABLE, "no connection"),
        (refuse(httpx2.ConnectTimeout("slow")), Reason.SLOW, "within 5 s"),
        (refuse(httpx2.ReadTimeout("slow")), Reason.SLOW, "within 5 s"),
        (refuse(httpx2.ReadError("gone")), Reason.UNREACHABLE, "ReadError"),
        (refuse(httpx2.RemoteProtocolError("what")), Reason.UNREACHABLE, "RemoteProtocolError"),
        (
            lambda _: httpx2.Response(200, headers={"Content-Encoding": "gzip"}, content=b"no"),
            Reason.UNREADABLE,
            "compress",
        ),
        (lambda _: httpx2.Response(200, content=b" " * (BYTES_MAX + 1)), Reason.TOO_LARGE, "16 MiB"),
        (lambda _: httpx2.Response(302, headers={"Location": "http://elsewhere"}), Reason.FAILING, "HTTP 302"),
        (
            lambda _: httpx2.Response(400, json={"status": "error", "error": "bad"}),
            Reason.REFUSED,
            "of the candidate: HTTP 400: bad",
        ),
        (lambda _: matrix(), Reason.EMPTY, "denominator"),
    ],
)
@pytest.mark.parametrize("query", [COUNTERS, BARE])
async def test_each_failure_has_its_reason(query: MetricQuery, answer: Answer, reason: Reason, said: str) -> None:
    """No windows, no progress, and nothing raised."""
    found = await asked(answer, query)
    assert (found.windows, found.fault) == ((), reason)
    assert said in found.detail or query.is_bare


async def test_a_server_that_trickles_is_slow() -> None:
    """Each byte comes in time, and the whole never does: the limit is of the whole."""

    class Trickle(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0)

    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Trickle()))
    async with httpx2.AsyncClient(transport=transport) as client:
        found = await Prometheus(client, URL, 50).windows(COUNTERS, 0, 2, 10_000)
    assert found.fault in {Reason.SLOW, Reason.TOO_LARGE}
    assert found.through == 0


async def test_a_token_travels_in_a_header_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from the variable that is named; in no sentence and no repr."""
    monkeypatch.setenv("PROMETHEUS_TOKEN", "s3cret")
    headers: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers.append((await reader.readuntil(b"\r\n\r\n")).decode())
        body = json.dumps({"status": "error", "error": "denied"}).encode()
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with open_prometheus(f"http://127.0.0.1:{port}/", "PROMETHEUS_TOKEN", 5_000) as source:
            assert source is not None
            found = await source.windows(COUNTERS, 0, 2, 10_000)
            shown = f"{found!r} {source!r} {vars(source)!r}"
    assert "authorization: bearer s3cret" in headers[0].lower()
    assert "POST /api/v1/query " in headers[0]
    assert (found.fault, found.detail) == (Reason.FAILING, "numerator of the candidate: HTTP 403: denied")
    assert "s3cret" not in shown


async def test_a_variable_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no start than one that is refused at each question."""
    monkeypatch.delenv("PROMETHEUS_TOKEN", raising=False)
    with pytest.raises(InvalidInput, match="PROMETHEUS_TOKEN"):
        await open_prometheus(URL, "PROMETHEUS_TOKEN", 5_000).__aenter__()


async def test_without_a_url_there_is_no_source() -> None:
    """And its metrics are blind for that reason."""
    async with open_prometheus("", "", 5_000) as source:
        assert source is None


def test_nothing_is_connected_before_it_is_asked() -> None:
    """A Prometheus that is away holds up no start."""

    async def opened() -> Any:
        async with open_prometheus("https://127.0.0.1:1", "", 5_000) as source:
            return source

    assert asyncio.run(opened()) is not None
