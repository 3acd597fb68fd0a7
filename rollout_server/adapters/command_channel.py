"""Notifications on the standard input of a program that runs beside the server: no shell, no time without end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from typing import TYPE_CHECKING, BinaryIO

from rollout_server.domain.notification import write_notification
from rollout_server.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_server.domain.notification import Notification
    from rollout_server.domain.rollouts import ChannelSpec

TIMEOUT_S = 30.0
SAID_BYTES_MAX = 400
"""How much of what it writes to stderr is told; the rest is read and dropped."""
_CHUNK_BYTES = 4_096
_LINGER_S = 1.0
_LATER = "it is tried again"


class CommandChannel:
    """Fulfils `ports.Channel`. Exit code 0 is delivered; whatever the program left running is ended with it."""

    def __init__(self, spec: ChannelSpec, *, allowed: Iterable[str], timeout_s: float = TIMEOUT_S) -> None:
        """Prepare for one program.

        Args:
            spec: of a command.
            allowed: programs that channels may run, spelled as channels spell them: whoever may write a channel would
                otherwise run anything on this machine.
            timeout_s: after which it is killed.
        """
        self._spec = spec
        self._allowed = frozenset(allowed)
        self._timeout_s = timeout_s

    async def deliver(self, notification: Notification) -> None:
        """See `ports.Channel`."""
        program = self._spec.target
        if program not in self._allowed:
            hint = "add it to channel_commands (ROLLOUT_CHANNEL_COMMANDS), and restart the server"
            raise Refused("channel", f"channels may not run {program}", hint)
        with _given(json.dumps(write_notification(notification), ensure_ascii=False).encode()) as given:
            code, said = await self._run(given)
        if code != 0:
            raise Unavailable("command", f"{program} ended with {_ending(code)}{_quoted(said)}", _LATER)

    async def _run(self, given: BinaryIO) -> tuple[int, bytes]:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as heard:
            try:
                process = await self._start(given, writing)
            finally:
                os.close(writing)
            listening = asyncio.create_task(_listen(heard))
            try:
                async with asyncio.timeout(self._timeout_s):
                    code = await process.wait()
            except TimeoutError:
                message = f"{self._spec.target} did not end in {self._timeout_s:g} s and was killed"
                raise Unavailable("command", message, _LATER) from None
            finally:
                _kill(process)
                await _reaped(process, listening)
            return code, listening.result() if not listening.cancelled() else b""

    async def _start(self, given: BinaryIO, writing: int) -> asyncio.subprocess.Process:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                self._spec.target,
                *self._spec.arguments,
                stdin=given,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=writing,
                start_new_session=True,  # a group of its own, to be killed as one
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:  # it may run already: asyncio would end it alone, and leave what it started
            with contextlib.suppress(OSError, ValueError):
                process = await starting
                _kill(process)
                await process.wait()
            raise
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            message = f"{self._spec.target} cannot be run: {error.strerror}"
            raise Refused("channel", message, "install it where the server runs, and let the server run it") from None
        except (OSError, ValueError) as error:
            message = f"{self._spec.target} cannot be run: {getattr(error, 'strerror', None) or error}"
            raise Unavailable("command", message, _LATER) from None


def _given(body: bytes) -> BinaryIO:
    """Return a file to be read: a program that never reads its input holds nobody up."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever asked for it closes it
        file.write(body)
        file.seek(0)
    except OSError as error:
        message = f"there is no room for its input: {error.strerror}"
        raise Unavailable("command", message, _LATER) from None
    return file


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill all of its group; also after it has ended, for its children need not have."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _reaped(process: asyncio.subprocess.Process, listening: asyncio.Task[bytes]) -> None:
    """Leave no zombie and no task. A child that left the group may hold stderr open: it is not waited for."""
    waiting = asyncio.gather(process.wait(), listening, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), _LINGER_S)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def _listen(heard: BinaryIO) -> bytes:
    """Read to the end, keep the beginning."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), heard)
    said = b""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            said += chunk[: SAID_BYTES_MAX - len(said)]
    finally:
        transport.close()
    return said


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _quoted(said: bytes) -> str:
    """Return what it said as one line; nothing of it is trusted to be text."""
    line = " ".join(said.decode("utf-8", "replace").split())
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return f": {plain}" if plain else ""
