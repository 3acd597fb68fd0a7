"""The `rollout` command in this process: typed words in; exit code, stdout and stderr out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from rollout_server.cli.main import main
from rollout_server.cli.world import World

NOW_MS = 1_795_000_000_000
"""2026-11-18 11:06:40 UTC."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Runs commands against one server, in a world where nothing is real.

    Attributes:
        server: address; empty gives no server at all.
        environment: sent along and printed; empty lets the server tell it.
        interactive: whether somebody answers questions, with `answers`, one a line.
        waited_ms: how long commands have waited; the monotonic clock is moved by it, nobody sleeps.
        on_pause: called instead of sleeping.
    """

    server: str = ""
    environment: str = "production"
    width: int = 80
    interactive: bool = False
    answers: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    waited_ms: int = 0
    keys: int = 0
    on_pause: Callable[[], None] = lambda: None

    def __call__(self, *words: str, stdin: bytes = b"") -> Outcome:
        """Type `rollout WORDS`."""
        environ = {"COLUMNS": str(self.width), "ROLLOUT_CONFIG": "/nonexistent/config.toml"}
        if self.server:
            environ |= {"ROLLOUT_SERVER": self.server, "ROLLOUT_TOKEN": "rg_test"}
        if self.environment:
            environ["ROLLOUT_ENVIRONMENT"] = self.environment
        return run(words, self.world({**environ, **self.variables}), stdin or self.answers.encode())

    def world(self, environ: dict[str, str]) -> World:
        """Return the world of one command."""

        def pause(duration_ms: int) -> None:
            self.waited_ms += duration_ms
            self.on_pause()

        def fresh_key() -> str:
            self.keys += 1
            return f"{self.keys:032x}"

        return World(
            environ=environ,
            now_ms=lambda: NOW_MS,
            monotonic_ms=lambda: self.waited_ms,
            pause=pause,
            is_interactive=lambda: self.interactive,
            fresh_key=fresh_key,
        )


def run(words: Sequence[str], world: World, stdin: bytes = b"") -> Outcome:
    """Run one command with its standard streams held."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    given, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(words, world)
    finally:
        sys.stdin = given
    texts = []
    for stream in (out, err):
        stream.flush()
        buffer = stream.buffer
        assert isinstance(buffer, io.BytesIO)
        texts.append(buffer.getvalue().decode())
    return Outcome(int(code), *texts)
