"""What a command takes from the machine it runs on; a test passes its own."""

from __future__ import annotations

import os
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollout_server.cli.times import SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _wall_ms() -> int:
    return int(time.time() * SECOND_MS)


def _monotonic_ms() -> int:
    return int(time.monotonic() * SECOND_MS)


def _pause(duration_ms: int) -> None:
    time.sleep(duration_ms / SECOND_MS)


def _is_interactive() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _fresh_key() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class World:
    """Clock, environment variables and the person at the terminal.

    Attributes:
        now_ms: Unix epoch, UTC.
        monotonic_ms: since some fixed moment; never steps back.
        pause: waits this many milliseconds.
        is_interactive: whether somebody can be asked.
        fresh_key: 128 random bits as text, for idempotency keys and incidents.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now_ms: Callable[[], int] = _wall_ms
    monotonic_ms: Callable[[], int] = _monotonic_ms
    pause: Callable[[int], None] = _pause
    is_interactive: Callable[[], bool] = _is_interactive
    fresh_key: Callable[[], str] = _fresh_key
