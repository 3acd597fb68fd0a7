"""The examples of the guide, each as a reader would start it: real servers, a real worker, a real flag server."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from rollout_sdk import Arm
from rollout_sdk.testing import Server
from tests.small_server import World, document, free_port, world

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GUIDE = ROOT / "docs" / "frameworks.md"
BLOCK = re.compile(r"^`(examples/[^`]+)`[^\n]*\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN_S = 60
POLL_S = 0.02


def test_the_guide_shows_the_examples_as_they_are_run() -> None:
    """Whole files, letter for letter, and every one of them."""
    shown = dict(BLOCK.findall(GUIDE.read_text(encoding="utf-8")))
    written = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for name in ("fastapi", "django", "celery", "script")
        for path in (EXAMPLES / name).glob("*.py")
    }
    assert shown.keys() == written.keys()
    for name, text in written.items():
        assert shown[name] == text, name


async def run(where: str, *command: str, env: dict[str, str]) -> str:
    """Run a program of an example to its end; return what it printed."""
    async with started(where, *command, env=env) as process:
        printed, said = await asyncio.wait_for(process.communicate(), WITHIN_S)
        assert process.returncode == 0, said.decode()
        assert b"Traceback" not in said, said.decode()
        return printed.decode()


@asynccontextmanager
async def started(where: str, *command: str, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of an example, in its directory; it is gone when the test is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=EXAMPLES / where,
        env={**os.environ, **env, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.communicate(), WITHIN_S)


async def get(port: int, path: str, **headers: str) -> str:
    """Ask until somebody listens; return the body."""
    while True:
        try:
            return await asyncio.to_thread(_get, port, path, headers)
        except (OSError, HTTPException):
            await asyncio.sleep(POLL_S)


def _get(port: int, path: str, headers: dict[str, str]) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)
    try:
        connection.request("GET", path, headers={**headers, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == HTTPStatus.OK, body
        return body
    finally:
        connection.close()


async def until(port: int, path: str, wanted: str, **headers: str) -> None:
    """Ask until this is answered: rules come by themselves."""
    async with asyncio.timeout(WITHIN_S):
        answer = ""
        while answer != wanted:
            answer = await get(port, path, **headers)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[World]:
    """A real server with two flags."""
    async with world(tmp_path / "data") as running:
        thais = {"rules": [{"id": "thais", "when": {"attribute": "country", "equals": "TH"}, "serve": "on"}]}
        limit = {"type": "integer", "variants": {"short": 1, "long": 3}, "off": "short", "default": "long"}
        await running.admin.apply(document("Flag", "checkout-v2", thais), document("Flag", "page-limit", limit))
        yield running


def environment(server: World) -> dict[str, str]:
    (_, bearer), *_ = server.sdk
    return {"ROLLOUT_SERVER": server.running.address, "ROLLOUT_TOKEN": bearer.removeprefix("Bearer ")}


async def shop_serves(server: World, port: int) -> None:
    """The checkout follows the rules, the visitor, and a kill."""
    thai = {"x-user": "u-1", "x-country": "TH"}
    await until(port, "/checkout", '{"checkout": "one click"}', **thai)
    assert await get(port, "/checkout", **{"x-user": "u-1"}) == '{"checkout": "three steps"}'
    assert await get(port, "/checkout") == '{"checkout": "three steps"}'
    await server.admin.kill("checkout-v2")
    await until(port, "/checkout", '{"checkout": "three steps"}', **thai)


async def test_fastapi(server: World) -> None:
    """Under uvicorn."""
    port = free_port()
    command = ("-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning")
    async with started("fastapi", *command, env=environment(server)):
        thai = {"x-user": "u-1", "x-country": "TH"}
        await until(port, "/checkout", '{"checkout":"one click"}', **thai)
        assert await get(port, "/checkout") == '{"checkout":"three steps"}'
        await server.admin.kill("checkout-v2")
        await until(port, "/checkout", '{"checkout":"three steps"}', **thai)


@pytest.mark.parametrize(
    "command",
    [
        ("gunicorn", "wsgi:application", "--threads", "4", "--preload", "--bind", "127.0.0.1:{port}"),
        ("uvicorn", "asgi:application", "--port", "{port}", "--log-level", "warning", "--lifespan", "off"),
    ],
    ids=["wsgi", "asgi"],
)
async def test_django(server: World, command: tuple[str, ...]) -> None:
    """Under gunicorn with threads, forked after the application was loaded; and under uvicorn."""
    port = free_port()
    arguments = [part.format(port=port) for part in command]
    async with started("django", "-W", "ignore", "-m", *arguments, env=environment(server)):
        await until(port, "/products", "".join(f"product {number}\n" for number in range(3)))
        await shop_serves(server, port)


async def test_script(server: World) -> None:
    """It decides by the rules although it lives for a second; without a server it decides, too."""
    assert await run("script", "report.py", env=environment(server)) == "3 rows a page\n"
    nobody = {**environment(server), "ROLLOUT_SERVER": f"127.0.0.1:{free_port()}"}
    assert await run("script", "report.py", env=nobody) == "20 rows a page\n"


@pytest.mark.timeout(300)
async def test_celery(tmp_path: Path) -> None:
    """A prefork worker whose children end after each task: each outcome arrives, in the arm that its sender decided.

    Orders come one by one, and before the worker: Celery's broker of files makes a file first and fills it then, so
    that whoever reads in between dies of an empty message.
    """
    environment, orders = broker(tmp_path), 4
    with Server() as server:
        await asyncio.to_thread(server.apply, EXAMPLES / "flags")
        await asyncio.to_thread(server.apply, EXAMPLES / "rollouts")
        server.set({"new-cart": True})
        server.expose("checkout-v2-launch", 500_000)
        environment |= server.variables
        printed = [await run("celery", "order.py", f"u-{n}", str(n), env=environment) for n in range(orders)]
        worker = ("-m", "celery", "-A", "tasks", "worker", "--pool=prefork", "--concurrency=2", "--loglevel=warning")
        async with started("celery", *worker, "--max-tasks-per-child=1", env=environment) as process:
            async with asyncio.timeout(2 * WITHIN_S):
                await shipped(process, orders)
        clicks = sum(each == "one click\n" for each in printed)
        assert 0 < clicks < orders
        assert server.outcomes("orders.conversion") == {Arm.CANDIDATE: clicks, Arm.CONTROL: orders - clicks}


async def shipped(worker: asyncio.subprocess.Process, orders: int) -> None:
    """Read what the worker prints, which Celery logs, until it has shipped so many."""
    assert worker.stderr is not None
    seen = 0
    while seen < orders:
        line = await worker.stderr.readline()
        assert line, "the worker has ended"
        seen += b"shipping order" in line


def broker(tmp_path: Path) -> dict[str, str]:
    """A broker that is a directory, so that nothing else has to run."""
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    messages, control = str(tmp_path / "messages"), str(tmp_path / "control")
    folders = {"data_folder_in": messages, "data_folder_out": messages, "control_folder": control}
    (tmp_path / "on_disk.py").write_text(f"broker_transport_options = {folders!r}\n", encoding="utf-8")
    return {"BROKER_URL": "filesystem://", "CELERY_CONFIG_MODULE": "on_disk", "PYTHONPATH": str(tmp_path)}
