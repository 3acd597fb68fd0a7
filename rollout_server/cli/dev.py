"""`rollout dev`: a server on the embedded store, example flags, and a shop that asks it what to serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_server.cli import context_file
from rollout_server.cli.context_file import ContextFile, SavedContext
from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.installed import examples
from rollout_server.cli.ports import HOST, any_free, free
from rollout_server.cli.shell import Command, pass_session

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence

    from rollout_server.cli.screen import Screen
    from rollout_server.cli.session import Session
    from rollout_server.main import Running

CONTEXT = ENVIRONMENT = "dev"
_LISTEN_PORT, _HTTP_PORT, _SHOP_PORT = 7070, 7071, 8000
_PERSON = "you"
_STOP_WITHIN_S = 5.0


@click.command(cls=Command)
@click.option("--data", metavar="DIR", default=".rollout", show_default=True, help="Where the store is kept.")
@click.option("--port", type=int, metavar="PORT", help=f"Port of the server (default {_LISTEN_PORT}, else a free one).")
@click.option(
    "--shop-port", type=int, metavar="PORT", help=f"Port of the shop (default {_SHOP_PORT}, else a free one)."
)
@click.option("--no-shop", is_flag=True, help="The server and its flags only.")
@pass_session
def dev(session: Session, data: str, port: int | None, shop_port: int | None, *, no_shop: bool) -> None:
    """Run a server with example flags and a shop beside it.

    It writes a private context named "dev" into the context file, prints commands to paste into another terminal, and
    says what the shop serves whenever that changes. The flags are copied into the data directory, for you to edit; all
    that you change is kept there until you remove it.
    """
    from rollout_server.errors import RolloutError

    _check_unused(Path(data))
    world = Surroundings(
        data=Path(data),
        examples=examples(),
        address=f"{HOST}:{free(_LISTEN_PORT) if port is None else port}",
        http_address=f"{HOST}:{free(_HTTP_PORT)}",
        shop_port=None if no_shop else free(_SHOP_PORT) or any_free() if shop_port is None else shop_port,
        context_path=session.context_path,
    )
    try:
        asyncio.run(_run(world, session.screen))
    except RolloutError as error:
        raise CommandFailed(str(error), error.hint) from error


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where everything is.

    Attributes:
        shop_port: None for no shop.
        context_path: the context file that gets a context named "dev".
    """

    data: Path
    examples: Path
    address: str
    http_address: str
    shop_port: int | None
    context_path: Path

    @property
    def flags(self) -> Path:
        """The flags' files: a copy, for the user to edit."""
        return self.data / "flags"


async def _run(world: Surroundings, screen: Screen) -> None:
    from rollout_server.main import start
    from rollout_server.settings import load

    settings = load(
        {
            "data": world.data,
            "environments": (ENVIRONMENT,),
            "listen": world.address,
            "http_listen": world.http_address,
            "log_level": "warning",
            "drain_within_ms": 1_000,
        }
    )
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with start(settings) as running, contextlib.AsyncExitStack() as stack:
        _copy_flags(world)
        is_current = await _write_context(world, running)
        applied = await _apply_examples(world, running)
        if world.shop_port is not None:
            await _open_shop(world, running, stack)
        _welcome(world, running, screen, is_current=is_current, applied=applied)
        await stopping.wait()
        screen.talk("stopping")


def _check_unused(data: Path) -> None:
    """Refuse a second server on one store: commands would go to it, and to nobody once it ends before the first."""
    from rollout_server.stores import is_in_use

    if is_in_use(data):
        hint = "paste what that one printed, or stop it; for another beside it: rollout dev --data DIR"
        raise CommandFailed(f"a server runs on {data} already", hint)


def _copy_flags(world: Surroundings) -> None:
    if not world.flags.exists():
        shutil.copytree(world.examples / "flags", world.flags)


async def _write_context(world: Surroundings, running: Running) -> bool:
    """Save a context that may do everything here; return whether commands take it without being told."""
    file = context_file.read(world.context_path)
    known = file.contexts.get(CONTEXT)
    token = (
        known.token
        if known is not None and running.accepts(known.token)
        else await running.token("admin", person=_PERSON)
    )
    others = {name: saved for name, saved in file.contexts.items() if name != CONTEXT}
    current = file.current if others else CONTEXT
    saved = SavedContext(server=running.address, environment=ENVIRONMENT, token=token)
    context_file.write(world.context_path, ContextFile(current, {**others, CONTEXT: saved}))
    for path in running.first_tokens.values():
        path.unlink(missing_ok=True)  # the context holds one, and a secret belongs in one place
    return current == CONTEXT


async def _apply_examples(world: Surroundings, running: Running) -> bool:
    """Apply the example flags to an environment without any; return whether that was so."""
    from rollout_server.domain.resources import PLANNED

    state = running.served[ENVIRONMENT].environment.state
    if any(id_.kind in PLANNED for id_ in state.resources):
        return False
    command = _rollout(world, "apply", "-f", str(world.flags), "--yes", "--reason", "example flags")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise CommandFailed(
            "the example flags cannot be applied",
            f"remove {world.data} to start anew",
            details=output.decode(errors="replace").splitlines(),
        )
    return True


async def _open_shop(world: Surroundings, running: Running, stack: contextlib.AsyncExitStack) -> None:
    """Run the shop and its visitors until the stack ends."""
    token = await _shop_token(world.data / "shop-token", running)
    environ = {
        **os.environ,
        "ROLLOUT_SERVER": running.address,
        "ROLLOUT_TOKEN": token,
        "ROLLOUT_SERVICE": "shop",
        "ROLLOUT_SNAPSHOT": str(world.data / "shop-snapshot"),
    }
    shop = world.examples / "shop"
    await _child(stack, environ, str(shop / "shop.py"), "--port", str(world.shop_port))
    await _child(stack, environ, str(shop / "drive.py"), "--shop", _shop_url(world), "--patience-s", "15")


async def _shop_token(path: Path, running: Running) -> str:
    """Return the shop's SDK token, kept from the last time where it still serves."""
    known = _read(path)
    if running.accepts(known):
        return known
    token = await running.token("sdk", person="shop")
    _write_private(path, token)
    return token


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)


async def _child(stack: contextlib.AsyncExitStack, environ: dict[str, str], *command: str) -> None:
    # A session of its own: Ctrl-C reaches us alone, and we stop the children in our order.
    process = await asyncio.create_subprocess_exec(sys.executable, *command, env=environ, start_new_session=True)
    stack.push_async_callback(_stop, process)


async def _stop(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _welcome(world: Surroundings, running: Running, screen: Screen, *, is_current: bool, applied: bool) -> None:
    context = () if is_current else ("--context", CONTEXT)
    first = "checkout-v2"
    lines = [
        "",
        f"Rollout Guard serves environment {ENVIRONMENT} at {running.address}"
        + (", with the example flags" if applied else f", as you left it in {world.data}"),
    ]
    if world.shop_port is not None:
        lines += [f"The shop is at {_shop_url(world)}/?user=user-42", "and 200 users visit it all the time."]
    lines += ["Paste these into another terminal and watch this one:", ""]
    examples = (
        ((), "what serves what, and what is killed"),
        (("explain", first, "user-42", "country=TH"), "why this user gets it"),
        (("kill", first), "off for everybody, proven process by process"),
        (("unkill", first), "back again"),
        (
            ("plan", "-f", str(world.flags), "--synthetic", "1000"),
            f"what your edits of the files in {world.flags} would do",
        ),
        (("apply", "-f", str(world.flags)), "make it so"),
        (("sdks",), "which process runs what, and since when"),
    )
    for arguments, why in examples:  # on two lines: beside each other they are too long for a common terminal
        lines += [f"  # {why}", f"  {shlex.join([_executable(), *context, *arguments])}"]
    for line in (*lines, "", "Ctrl-C stops everything.", ""):
        screen.talk(line)


def _shop_url(world: Surroundings) -> str:
    return f"http://{HOST}:{world.shop_port}"


def _rollout(world: Surroundings, *arguments: str) -> Sequence[str]:
    file = ("--context-file", str(world.context_path), "--context", CONTEXT)
    return (sys.executable, "-m", "rollout_server", *arguments, *file)


def _executable() -> str:
    """Return how to call this command from here, with nothing activated."""
    typed = Path(sys.argv[0])
    if typed.name != "rollout":
        return f"{sys.executable} -m rollout_server"
    with contextlib.suppress(ValueError):
        return str(typed.absolute().relative_to(Path.cwd()))
    return str(typed)
