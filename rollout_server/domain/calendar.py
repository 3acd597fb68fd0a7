"""When nothing may grow, when it may again, and in which order. No clock is read: the moment is an argument.

Zone rules come from `zoneinfo`: constant tables, as Unicode's are, looked up by name. The server's extra installs
`tzdata`, so a machine without a zone database has one too. Where a wall clock skips or repeats the time at which a
freeze begins or ends, the freeze is the longer of its readings: in doubt nothing grows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rollout_sdk.engine.instants import parse_instant
from rollout_server.domain.changes import voice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_server.domain.rollouts import FreezeSpec

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

_WEEKLY = re.compile(r"(MON|TUE|WED|THU|FRI|SAT|SUN) +([0-9]{1,2}):([0-9]{2})")
_DAYS = 7
_MINUTE_MS = 60_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_EPOCH_NS = parse_instant("1970-01-01T00:00:00Z") or 0
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - timedelta(days=30) - _EPOCH) // _MS
_THAWS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of a freeze: from `start_ms` on, up to but without `end_ms`. Unix epoch, UTC."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """A freeze is over: from `at_ms` on rollouts may grow again, `stagger_ms` apart. `tags` are the freeze's."""

    at_ms: int
    stagger_ms: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A run that stood in a freeze's line, or came later.

    Attributes:
        rollout: key.
        started_ms: when it was started, or when the schedule was to start it.
        ended_ms: None while it is under way. Ended runs keep their place, or those behind would come two at a time.
        tags: of its flag.
    """

    rollout: str
    started_ms: int
    ended_ms: int | None = None
    tags: tuple[str, ...] = ()


def parse_moment_ms(text: str) -> int | None:
    """Return an RFC 3339 moment, such as a rollout's `start`, in ms since the Unix epoch; None where it is none.

    A zone is part of such a text, so it means one moment whatever zone the reader is in. Digits beyond ms are dropped.
    """
    instant_ns = parse_instant(text)
    return None if instant_ns is None else (instant_ns - _EPOCH_NS) // 1_000_000


def end_text(moment_ms: int) -> str:
    """Return when a freeze ends as people read it, "2026-11-22 23:00 UTC", to the minute in which it is over."""
    if moment_ms > _LAST_MS:
        return "somebody thaws it"
    return f"{_EPOCH + -(-moment_ms // _MINUTE_MS) * _MINUTE_MS * _MS:%Y-%m-%d %H:%M} UTC"


def is_due(start: str, now_ms: int) -> bool:
    """Whether a scheduled start has come. An empty or unreadable one never does: it waits for a person."""
    moment_ms = parse_moment_ms(start)
    return moment_ms is not None and now_ms >= moment_ms


def is_frozen(freezes: Iterable[FreezeSpec], tags: Iterable[str], now_ms: int, names: Iterable[str] = ()) -> bool:
    """Whether a flag with these tags may not grow now.

    Args:
        freezes: all of the environment.
        tags: of the flag.
        now_ms: Unix epoch, UTC.
        names: the person who wants it to grow, and that person's groups; the engine has none.
    """
    return any(held_until_ms(freeze, tags, now_ms, names) is not None for freeze in freezes)


def held_until_ms(freeze: FreezeSpec, tags: Iterable[str], now_ms: int, names: Iterable[str] = ()) -> int | None:
    """Return until when a freeze holds a flag with these tags; None where it does not. See `is_frozen`."""
    exempt = {voice(name) for name in names}
    if not _of([freeze], tags) or not exempt.isdisjoint(map(voice, freeze.exempt)):
        return None
    span = _active(freeze, now_ms)
    return span.end_ms if span is not None else None


def next_thaw(freezes: Iterable[FreezeSpec], tags: Iterable[str], now_ms: int) -> int | None:
    """Return the first moment from now on at which nothing freezes such a flag; None where that never comes.

    Freezes that overlap or follow each other without a gap are one.
    """
    freezes, moment_ms = _of(freezes, tags), now_ms
    for _ in range(_THAWS_MAX):
        ends_ms = [span.end_ms for freeze in freezes if (span := _active(freeze, moment_ms)) is not None]
        if not ends_ms:
            return moment_ms
        moment_ms = max(ends_ms)
    return None


def next_change(freezes: Iterable[FreezeSpec], tags: Iterable[str], now_ms: int) -> int | None:
    """Return the next moment after now at which a freeze of such a flag begins or ends; None where none ever does."""
    spans = [span for freeze in _of(freezes, tags) for span in _spans(freeze, now_ms)]
    moments_ms = [moment_ms for span in spans for moment_ms in (span.start_ms, span.end_ms)]
    return min((moment_ms for moment_ms in moments_ms if moment_ms > now_ms), default=None)


def thaws(freezes: Iterable[FreezeSpec], tags: Iterable[str], now_ms: int) -> tuple[Thaw, ...]:
    """Return the last thaw before now of each freeze that concerns such a flag."""
    found = []
    for freeze in _of(freezes, tags):
        ends_ms = [span.end_ms for span in _spans(freeze, now_ms) if span.end_ms <= now_ms]
        if ends_ms:
            found.append(Thaw(max(ends_ms), freeze.stagger_ms, freeze.tags))
    return tuple(found)


def turn_ms(rollout: str, thaw: Thaw, line: Sequence[Line]) -> int:
    """Return from when on a rollout may grow after a thaw.

    Whoever was under way at the thaw stands in line, the longest under way first, equal ones by key; one more may grow
    every `stagger_ms`. Who started later does not wait. So the turns are known in advance, and a plan can show them.
    """
    waiting = sorted(
        (one.started_ms, one.rollout)
        for one in line
        if _concerns(thaw.tags, one.tags)
        and one.started_ms <= thaw.at_ms
        and (one.ended_ms is None or one.ended_ms > thaw.at_ms)
    )
    keys = [key for _, key in waiting]
    return thaw.at_ms + (keys.index(rollout) * thaw.stagger_ms if rollout in keys else 0)


def may_grow(rollout: str, past: Iterable[Thaw], line: Sequence[Line], now_ms: int) -> bool:
    """Whether it is a rollout's turn after every freeze that concerned it."""
    return all(now_ms >= turn_ms(rollout, thaw, line) for thaw in past)


def _of(freezes: Iterable[FreezeSpec], tags: Iterable[str]) -> list[FreezeSpec]:
    wanted = tuple(tags)
    return [freeze for freeze in freezes if _concerns(freeze.tags, wanted)]


def _concerns(freeze_tags: tuple[str, ...], flag_tags: tuple[str, ...]) -> bool:
    return not freeze_tags or not set(freeze_tags).isdisjoint(flag_tags)


def _active(freeze: FreezeSpec, now_ms: int) -> Span | None:
    """The stretch that holds now; of several the one that lasts longest."""
    spans = [span for span in _spans(freeze, now_ms) if span.start_ms <= now_ms < span.end_ms]
    return max(spans, key=lambda span: span.end_ms, default=None)


def _spans(freeze: FreezeSpec, now_ms: int) -> list[Span]:
    """The stretches of a freeze that may touch now or have ended last."""
    start, end = _WEEKLY.fullmatch(freeze.start), _WEEKLY.fullmatch(freeze.end)
    if start is not None and end is not None:
        return _weekly_spans(_place(start), _place(end), ZoneInfo(freeze.zone), now_ms)
    start_ms, end_ms = parse_moment_ms(freeze.start), parse_moment_ms(freeze.end)
    if start_ms is None or end_ms is None:  # refused at publish
        return []
    return [Span(start_ms, end_ms)]


def _weekly_spans(start: timedelta, end: timedelta, zone: tzinfo, now_ms: int) -> list[Span]:
    """The stretches that begin in the weeks around now. Places are counted from Monday 00:00 on the wall."""
    lasts = (end - start) % timedelta(days=_DAYS) or timedelta(days=_DAYS)
    now = (_EPOCH + max(0, min(now_ms, _LAST_MS)) * _MS).astimezone(zone).replace(tzinfo=None)
    monday = datetime(now.year, now.month, now.day) - timedelta(days=now.weekday())  # noqa: DTZ001 - a wall's
    begins = [monday + timedelta(days=_DAYS * week) + start for week in (-2, -1, 0, 1)]
    return [Span(min(_instants(wall, zone)), max(_instants(wall + lasts, zone))) for wall in begins]


def _instants(wall: datetime, zone: tzinfo) -> tuple[int, int]:
    """Both moments that a time on the wall may mean; they differ where clocks skip or repeat it."""
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    return (first - _EPOCH) // _MS, (second - _EPOCH) // _MS


def _place(found: re.Match[str]) -> timedelta:
    day, hours, minutes = found.groups()
    return timedelta(days=WEEKDAYS.index(day), hours=int(hours), minutes=int(minutes))
