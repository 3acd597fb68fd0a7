"""What lies between a client and a real Redis: it can keep a request back, or lose an answer, at the very moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

_READ_BYTES = 1 << 20


class FaultyWire:
    """Passes everything on, until a test says what to spoil next.

    Attributes:
        path: the Unix socket to dial instead of Redis's own.
        lose_answer_to: the next request that holds this text is passed on, and the connection dies before its answer.
        hold_request: the next request that holds this text stays here, and the connection dies; `release` sends it.
        cuts_then: with that fault the whole wire is cut.
        is_cut: nothing passes any more.
    """

    def __init__(self, redis: Path, path: Path) -> None:
        self.path = path
        self.lose_answer_to = b""
        self.hold_request = b""
        self.cuts_then = False
        self.is_cut = False
        self.faults = 0
        self._redis = redis
        self._held: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, db: int) -> str:
        return f"unix://{self.path}?db={db}"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path, limit=_READ_BYTES)

    async def release(self, db: int) -> bytes:
        """Send what was held back, as if the network had only been slow; return Redis's answer."""
        reader, writer = await asyncio.open_unix_connection(self._redis)
        writer.write(b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%d\r\n" % (len(str(db)), db))
        await reader.readline()
        answer = b""
        for request in self._held:
            writer.write(request)
            answer = await reader.read(_READ_BYTES)
        self._held.clear()
        writer.close()
        await writer.wait_closed()
        return answer

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_unix_connection(self._redis)
        answers = asyncio.create_task(self._pass_back(there, writer))
        try:
            while (request := await reader.read(_READ_BYTES)) and not self.is_cut:
                if self.hold_request and self.hold_request in request:
                    self.hold_request, self.faults = b"", self.faults + 1
                    self.is_cut = self.cuts_then
                    self._held.append(request)
                    return
                if self.lose_answer_to and self.lose_answer_to in request:
                    self.lose_answer_to, self.faults = b"", self.faults + 1
                    self.is_cut = self.cuts_then
                    answers.cancel()
                    await asyncio.gather(answers, return_exceptions=True)
                    back.write(request)
                    await there.read(1)  # Redis has done it
                    return
                back.write(request)
        except asyncio.CancelledError:
            pass  # the test has ended, and so do we: cancelled connections are no news for the event loop
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            for each in (writer, back):
                each.close()
            self._tasks.discard(task)

    async def _pass_back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (answer := await there.read(_READ_BYTES)) and not self.is_cut:
            writer.write(answer)
