"""Logs: one JSON object a line on stderr, and nothing secret or personal in it.

What may be logged is listed, not what may not: a field that is not in `FIELDS` is left out by name. An exception is
logged as its type and the places it passed, never with its message, which may quote whatever the caller sent.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import TYPE_CHECKING, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import TracebackType

    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

FIELDS = frozenset(
    {
        "address",
        "channel",
        "code",
        "count",
        "duration_ms",
        "environment",
        "environments",
        "epoch",
        "error_type",
        "event",
        "frames",
        "held_revision",
        "hint",
        "incident_id",
        "level",
        "logger",
        "method",
        "notification",
        "option",
        "path",
        "peer",
        "revision",
        "role",
        "rollout",
        "signal",
        "store",
        "time",
        "token_id",
        "version",
        "why",
        "within_ms",
    }
)
"""Names of everything that is ever logged. None of them takes a unit's key, an attribute, a secret or a header.

`why` is a sentence about what this server stands on (a store, a lease, a rollout, an upstream), never about a call.
"""

_SECRET = re.compile(r"rg_([0-9a-f]{8})_[A-Za-z0-9]+|(?i:bearer)\s+\S+", re.ASCII)
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FRAMES_MAX = 24


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process, by us or by a library, through one door.

    Args:
        level: debug, info, warning or error.
        stream: stderr unless given.
    """
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            keep_listed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries()]
    root.setLevel(max(_LEVELS[level], logging.WARNING))


def get_logger() -> FilteringBoundLogger:
    """Return the logger. Events are constant sentences; what varies goes into `FIELDS`."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def keep_listed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out every field that is not listed, and blank whatever looks like a secret."""
    kept: MutableMapping[str, object] = {
        name: _blank(value) for name, value in event.items() if name in FIELDS and value is not None
    }
    withheld = sorted(name for name in event if name not in FIELDS)
    if withheld:
        kept["withheld"] = withheld
    return kept


def without_message(error: BaseException) -> dict[str, object]:
    """Return what may be told of an exception: its type and the places it passed, innermost last."""
    return {
        "error_type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": _frames(error.__traceback__),
    }


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_FRAMES_MAX:]
    return [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} {frame.name}" for frame in frames]


def _blank(value: object) -> object:
    if isinstance(value, str):
        return _SECRET.sub(lambda found: f"rg_{found[1]}_[secret]" if found[1] else "[secret]", value)
    if isinstance(value, list | tuple):
        return [_blank(item) for item in value]
    return value if isinstance(value, int | float) else str(type(value).__name__)


class _FromLibraries(logging.Handler):
    """What libraries log: where and how bad, with their constant text; its arguments may hold anything."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields |= without_message(record.exc_info[1])
        constant = record.msg if isinstance(record.msg, str) and record.args else "a library has something to say"
        get_logger().log(record.levelno, constant, **fields)
