"""Files on disk to documents on the wire, and the server's problems back to file, line and column."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.cli.failures import CommandFailed, ServerRefused, usage
from rollout_server.cli.screen import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_sdk.engine.problems import Problem
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.domain.files import Document

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"
_BYTES_MAX = 64 << 20  # far above what the reader takes: it says how much that is
_FILES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it was read. `name` is what problems call it."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Documents:
    """Everything that was read, and every problem with its line and column."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def paths(given: Sequence[str]) -> Iterator[str]:
    """Yield each file that was named, and those of each directory, in order; "-" is standard input.

    Raises:
        CommandFailed: usage; nothing was named, a name does not exist, a directory holds no file.
    """
    if not given:
        raise usage("no files were named", "add -f FILE or -f DIRECTORY")
    for name in given:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            yield name
            continue
        found = sorted(
            item
            for item in path.rglob("*")
            if item.suffix in SUFFIXES
            and item.is_file()
            and not any(part.startswith(".") for part in item.relative_to(path).parts)
        )
        if not found:
            raise usage(f"{name} holds no {', '.join(SUFFIXES)} file")
        if len(found) > _FILES_MAX:
            raise usage(
                f"{name} holds {len(found):,} files, at most {_FILES_MAX:,} are read", "name a smaller directory"
            )
        yield from (str(item) for item in found)


def sources(given: Sequence[str]) -> Iterator[Source]:
    """Read each file.

    Raises:
        CommandFailed: usage; one cannot be read.
    """
    for name in paths(given):
        if name == STDIN:
            yield Source("<stdin>", sys.stdin.buffer.read(_BYTES_MAX))
            continue
        try:
            refuse_irregular(Path(name))
            with Path(name).open("rb") as file:
                yield Source(name, file.read(_BYTES_MAX))
        except OSError as error:
            raise usage(f"{name} cannot be read: {error.strerror}") from error


def refuse_irregular(path: Path) -> None:
    """Check that there is an end to read up to: opening a pipe waits for somebody to write, a device never ends.

    Raises:
        CommandFailed: usage; it is a pipe, a socket or a device.
        OSError: it does not exist.
    """
    mode = path.stat().st_mode
    kinds = ((stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"))
    kind = next((name for is_kind, name in kinds if is_kind(mode)), "")
    if kind:
        raise usage(f"{path} is a {kind} and no regular file", "name a file, or - to read standard input")


def read(given: Sequence[str], environment: str | None) -> Documents:
    """Read every document as it is in one environment, and find what is wrong with each and between them."""
    from rollout_server.domain.files import duplicates, load

    documents: list[Document] = []
    problems: list[Problem] = []
    for source in sources(given):
        loaded = load(source.data, source.name, environment)
        already = set(loaded.problems)
        documents += loaded.documents
        problems += loaded.problems
        problems += [problem for problem in duplicates(documents) if problem not in already and problem not in problems]
    return Documents(tuple(documents), tuple(problems))


def load_all(given: Sequence[str], environment: str) -> tuple[Document, ...]:
    """Read every document for the server.

    Raises:
        CommandFailed: something is wrong in them, each thing with its line and column; or there is none.
    """
    found = read(given, environment)
    if found.problems:
        raise wrong(found.problems)
    if not found.documents:
        raise usage(f"{', '.join(given)}: there is no document in it", "write one: kind, metadata and spec")
    return found.documents


def wrong(problems: Sequence[Problem]) -> CommandFailed:
    """Return the failure that lists every problem."""
    return CommandFailed(
        f"{quantity(len(problems), 'problem')} in the files; nothing was changed",
        "mend them and look again with: rollout lint",
        details=[str(problem) for problem in problems],
    )


def messages(documents: Sequence[Document]) -> list[control_pb2.Document]:
    """Return the documents as the server takes them."""
    from rollout_sdk.wire.v1 import control_pb2

    return [
        control_pb2.Document(
            kind=document.resource.kind.value if document.resource else "",
            key=document.resource.metadata.key if document.resource else "",
            json=json.dumps(document.tree, ensure_ascii=False, allow_nan=False),
            origin=document.origin,
        )
        for document in documents
    ]


def placed(refused: ServerRefused, documents: Sequence[Document]) -> CommandFailed:
    """Return a refusal with the line and column of every problem; other refusals come back as they are."""
    from rollout_server.domain.files import located

    if not refused.problems:
        return refused
    return ServerRefused(
        f"{quantity(len(refused.problems), 'problem')}; nothing was changed",
        refused.hint,
        code=refused.code,
        details=[str(problem) for problem in located(documents, refused.problems)],
        exit_code=refused.exit_code,
    )
