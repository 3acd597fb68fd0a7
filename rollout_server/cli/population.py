"""A population as JSON lines: read as it is sent, a batch at a time; a bad line is named "users.jsonl:17"."""

from __future__ import annotations

import json
import sys
from array import array
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rollout_server.cli.failures import CommandFailed, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH_COUNT = 500
LINE_BYTES_MAX = 256 << 10
_FIELDS = frozenset({"units", "attributes"})


class Population:
    """Contexts in a file, one JSON object a line; blank lines are passed over.

    Attributes:
        failure: why reading stopped before the end; None while all is well. gRPC reads in a thread of its own and
            would hide an exception there.
        count: contexts handed out so far.
    """

    def __init__(self, name: str) -> None:
        self.name = "<stdin>" if name == "-" else name
        self.failure: CommandFailed | None = None
        self._path = None if name == "-" else Path(name)
        self._lines = array("L")
        if self._path is not None and not self._path.is_file():
            raise usage(f"the population {name} is no file", "give a file of JSON lines, or - for standard input")

    @property
    def count(self) -> int:
        """How many contexts were handed out."""
        return len(self._lines)

    def place(self, number: int) -> str:
        """Return "users.jsonl:17" of a context, counted from 1."""
        if 1 <= number <= len(self._lines):
            return f"{self.name}:{self._lines[number - 1]}"
        return self.name

    def batches(self, progress: Callable[[int], None]) -> Iterator[list[str]]:
        """Yield lists of contexts; stops early and sets `failure` at the first bad line."""
        try:
            with self._open() as file:
                yield from self._read(file, progress)
        except CommandFailed as failure:
            self.failure = failure
        except OSError as error:
            self.failure = usage(f"{self.name} cannot be read: {error.strerror}")

    def _read(self, file: BinaryIO, progress: Callable[[int], None]) -> Iterator[list[str]]:
        batch: list[str] = []
        number = 0
        while line := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            if len(line) > LINE_BYTES_MAX:
                raise self._bad(number, f"the line is longer than {LINE_BYTES_MAX >> 10} KiB")
            if not line.strip():
                continue
            batch.append(self._context(number, line))
            self._lines.append(number)
            if len(batch) == BATCH_COUNT:
                yield batch
                progress(self.count)
                batch = []
        if batch:
            yield batch
            progress(self.count)

    def _context(self, number: int, line: bytes) -> str:
        try:
            text = line.decode("utf-8").strip()
            context = json.loads(text)
        except UnicodeDecodeError:
            raise self._bad(number, "the line is not UTF-8") from None
        except RecursionError:
            raise self._bad(number, "the line is nested too deep") from None
        except json.JSONDecodeError as error:
            raise self._bad(number, f"the line is no JSON: {error}") from None
        except ValueError:  # the only other thing that a line of JSON can do wrong to Python
            raise self._bad(number, "a number in the line is too long; write it as text") from None
        if not isinstance(context, dict) or not context.keys() <= _FIELDS:
            raise self._bad(number, "a context has units and attributes and nothing else")
        units = context.get("units", {})
        if not isinstance(units, dict) or not all(isinstance(key, str) for key in units.values()):
            raise self._bad(number, "units map a kind of unit to a key, which is text")
        if not isinstance(context.get("attributes", {}), dict):
            raise self._bad(number, "attributes are a map")
        return text

    def _bad(self, number: int, what: str) -> CommandFailed:
        example = '{"units": {"user": "u-1"}, "attributes": {"country": "TH"}}'
        return CommandFailed(f"{self.name}:{number}: {what}", f"a line looks like {example}")

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        if self._path is None:
            yield sys.stdin.buffer
        else:
            with self._path.open("rb") as file:
                yield file
