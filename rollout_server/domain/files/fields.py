"""The fields of one map being read: each by its name, at its place, with what it is when it is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rollout_server.domain.files import names, paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from enum import Enum

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.files.shape import Reading

T = TypeVar("T")
E = TypeVar("E", bound="Enum")


class Fields:
    """A map of known fields. What is no map, and what is unknown in it, is noted at once.

    Attributes:
        reading: where problems go.
        path: of the map.
    """

    def __init__(self, reading: Reading, tree: object, path: str, known: Sequence[str], what: str) -> None:
        self.reading = reading
        self.path = path
        self._is_map = isinstance(tree, dict)
        self._fields = reading.fields(tree, path, known, what)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def place(self, name: str) -> str:
        """Return the path of a field."""
        return paths.child(self.path, name)

    def get(self, name: str, read: Callable[[Reading, object, str], T], default: T) -> T:
        """Return what a field holds, or the default where it is left out."""
        return read(self.reading, self._fields[name], self.place(name)) if name in self._fields else default

    def need(self, name: str, read: Callable[[Reading, object, str], T], default: T, hint: str) -> T:
        """Return what a field holds; where it is left out, note that and return the default."""
        if self._is_map:
            self.reading.required(self._fields, self.place(name), name, hint)
        return self.get(name, read, default)

    def choice(self, name: str, choices: type[E], default: E) -> E:
        """Return one of the words that an enumeration has as its values."""
        return self.get(name, lambda reading, value, path: read_choice(reading, value, path, choices, default), default)

    def need_choice(self, name: str, choices: type[E], default: E) -> E:
        """As `choice`; where the field is left out, that is noted."""
        hint = "one of " + ", ".join(words(choices))
        return self.need(
            name, lambda reading, value, path: read_choice(reading, value, path, choices, default), default, hint
        )


def words(choices: type[Enum]) -> list[str]:
    """Return the words that stand for an enumeration in a file."""
    return [str(choice.value) for choice in choices]


def read_choice(reading: Reading, value: object, path: str, choices: type[E], default: E) -> E:
    """Return the member whose value is this word; note a word that is none."""
    known = words(choices)
    if isinstance(value, str) and value in known:
        return choices(str(value))
    reading.unknown(path, "choice", value, known)
    return default


def unique(entries: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    """Return entries as the map that is written.

    Raises:
        ValueError: a name is there twice, which no file can say.
    """
    tree: dict[str, Json] = {}
    for name, value in entries:
        if name in tree:
            message = f"{names.show(name)} appears twice, which no file can say"
            raise ValueError(message)
        tree[name] = value
    return tree
