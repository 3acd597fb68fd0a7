"""Values that a caller may hand over and that nobody expects. Seeded, so that a find can be found again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum, IntEnum, StrEnum
from random import Random
from typing import Any, NoReturn


class Touched(Exception):
    """Code of a caller's object ran."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise Touched


_HOOKS = (
    *("__eq__", "__ne__", "__hash__", "__str__", "__repr__", "__bool__", "__len__", "__iter__", "__contains__"),
    *("__getitem__", "__lt__", "__le__", "__gt__", "__ge__", "__int__", "__float__", "__index__", "__getattr__"),
    *(
        "__format__",
        "__copy__",
        "__deepcopy__",
        "__reduce__",
        "casefold",
        "encode",
        "startswith",
        "keys",
        "items",
        "get",
    ),
)


def hostile(base: type[Any], *arguments: object) -> object:
    """An instance of a subclass of `base` all of whose methods raise."""
    return type(f"Hostile{base.__name__.title()}", (base,), dict.fromkeys(_HOOKS, _refuse))(*arguments)


def _claiming(answer: object) -> type[object]:
    """A class whose objects answer this when asked for their class; an exception is raised."""

    def claimed(_: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return type("Claiming", (), {"__class__": property(claimed)})


LyingClass = _claiming(str)
RaisingClass = _claiming(Touched())


class RaisingZone(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        raise Touched

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        raise Touched


class Plan(StrEnum):
    PRO = "pro"


class Level(IntEnum):
    HIGH = 9


class Plain(Enum):
    ONE = 1


def deep(levels: int, *, lists: bool) -> object:
    value: object = "bottom"
    for _ in range(levels):
        value = [value] if lists else {"a": value}
    return value


def circular() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


class Colliding:
    """Lands where the text lands in a dict, and refuses to be compared with it."""

    def __init__(self, text: str) -> None:
        self._hash = hash(text)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, _: object) -> bool:
        raise Touched


PLAIN_VALUES: tuple[object, ...] = (
    None, True, False, 0, 1, -1, 2**53 + 1, 2**63, -(2**70), 10**5000, 0.0, -0.0, 0.5, 1.0, 3.0,
    float("nan"), float("inf"), float("-inf"), 1e308, 5e-324,
    "", "KR", "kr", "TH", "pro", "1", "1.2.3", "2.0.0-rc.1", "x" * 20_000, "é", "ß", "\ud800", "a\udfffb", "\x00",
    "10.1.2.3", "::ffff:10.0.0.1", "2001:db8::1", "fe80::1%eth0", "1.2.3.4/8", "2026-01-01T00:00:00Z",
    "2026-13-45T99:99:99Z", "9" * 5000, "((((", b"bytes", bytearray(b"x"), 3 + 4j, ..., object, object(), len,
    [], [1, "a", True, None], ["KR", "TH"], ("KR",), (), {}, {"tier": "pro"}, {"tier": {"deep": [1]}}, {1: 2},
    {"a", "b"}, frozenset({1}), range(3), iter([1]), datetime(2026, 1, 1),  # noqa: DTZ001 - naive is the oddity
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=RaisingZone()), datetime.min.replace(tzinfo=UTC), timedelta(1), NotImplemented,
)  # fmt: skip

ODD_MAKERS: tuple[Callable[[], object], ...] = (
    lambda: hostile(object),
    lambda: hostile(str, "KR"),
    lambda: hostile(int, 5),
    lambda: hostile(float, 0.5),
    lambda: hostile(list, ["KR"]),
    lambda: hostile(tuple, ("KR",)),
    lambda: hostile(dict, {"tier": "pro"}),
    lambda: hostile(datetime, 2026, 1, 1, 0, 0, 0, 0, UTC),
    lambda: [hostile(object), hostile(str, "KR")],
    lambda: {"tier": hostile(object)},
    lambda: {Colliding("tier"): "pro"},
    LyingClass,
    RaisingClass,
    lambda: Plan.PRO,
    lambda: Level.HIGH,
    lambda: Plain.ONE,
    lambda: deep(1_000, lists=True),
    lambda: deep(1_000, lists=False),
    circular,
)


def odd_value(random: Random) -> object:
    """Any of them; plain ones most of the time, as from a caller."""
    if random.random() < 0.6:
        return random.choice(PLAIN_VALUES)
    return random.choice(ODD_MAKERS)()
