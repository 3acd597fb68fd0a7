"""Reading trees without stopping at the first mistake: helpers note what is wrong and return something usable."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from rollout_sdk.engine.names import variant_fault
from rollout_sdk.engine.problems import Problem
from rollout_server.domain.files import names, paths, percent
from rollout_server.domain.files.bounds import DEPTH_MAX, PROBLEMS_MAX
from rollout_server.domain.files.scalars import Scalar, SpelledFloat, SpelledInt, Unquoted, as_written

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json

T = TypeVar("T")

QUOTE = "quote_it"
"""Code of the problem whose cure is quotes around what was written: text is wanted, nothing else fits."""
UNCLEAR = "unclear_scalar"
"""Code where quotes are one cure of several: a scalar of any type is wanted."""

QUOTE_NAME = "quote_name"
"""As `QUOTE`, for the name of a field."""

_BOOLEAN_WORDS = {"true": "on", "false": "off"}
_VARIANT_WORDS = frozenset({"on", "off"})


def describe(value: object) -> str:
    """Say what a value is, in the words of a file's author."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {as_written(value)}"
        case Unquoted():
            return f"{value} without quotes"
        case int() | float():
            return f"the number {as_written(value)}"
        case str():
            return f"the text {names.show(value)}"
        case Mapping():
            return "a map"
        case Sequence():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def too_deep(tree: object) -> bool:
    """Whether maps and lists lie more than `DEPTH_MAX` inside each other. Does not recurse."""
    level: list[object] = [tree]
    for _ in range(DEPTH_MAX):
        level = [inner for outer in level for inner in _containers(outer)]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def _containers(tree: object) -> list[object]:
    values = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [value for value in values if isinstance(value, dict | list)]


@dataclass(slots=True)
class Reading:
    """One document being read.

    Attributes:
        origin: where the document came from, copied into each problem.
        resource: "flag/checkout-v2" once known.
    """

    origin: str = ""
    resource: str = ""
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, path: str, code: str, message: str, hint: str = "") -> None:
        """Note a problem, or that there are more."""
        if len(self.problems) >= PROBLEMS_MAX:
            return
        if len(self.problems) == PROBLEMS_MAX - 1:
            path, code, message, hint = "", "too_many_problems", "there are more problems", "mend these first"
        self.problems.append(Problem(self.resource, path, code, message, hint, self.origin))

    def problems_at(self, path: str) -> bool:
        """Whether something is wrong at this very place."""
        return any(problem.path == path for problem in self.problems)

    def wanted(self, value: object, path: str, what: str) -> None:
        """Note that something else than `what` stands here."""
        hint = f"write {what.partition(' (')[0]} here"
        if value is None:
            hint = "leave the field out, or give it a value"
        elif what == "a list" and isinstance(value, str):
            hint = f"write [{value}]"
        self.refuse(path, "wrong_type", f"{what} is wanted, found {describe(value)}", hint)

    def fields(self, tree: object, path: str, known: Sequence[str], what: str) -> dict[str, object]:
        """Return the known fields of a map; note unknown ones, with the nearest known name."""
        if not isinstance(tree, dict):
            self.wanted(tree, path, f"a map ({what})")
            return {}
        if unknown := [name for name in tree if name not in known]:
            for name in unknown:
                self.unknown(paths.child(path, str(name)), "field", name, known)
            return {name: value for name, value in tree.items() if name in known}
        return tree

    def unknown(self, path: str, what: str, name: object, known: Sequence[str]) -> None:
        """Note a word that is not among the known ones, with the nearest or with all of them."""
        if not isinstance(name, str):
            self.refuse(path, "unknown_" + what, f"unknown {what}: {describe(name)}", "known: " + ", ".join(known))
            return
        folded = {word.casefold(): word for word in known}
        near = difflib.get_close_matches(name.casefold()[:64], folded, 1)
        hint = f'did you mean "{folded[near[0]]}"?' if near else "known: " + ", ".join(known)
        self.refuse(path, "unknown_" + what, f"unknown {what} {names.show(name)}", hint)

    def required(self, tree: Mapping[str, object], path: str, name: str, hint: str) -> bool:
        """Whether the field `name`, whose place is `path`, is there; notes a problem where it is not."""
        if name not in tree:
            self.refuse(path, "missing_field", f'the field "{name}" is missing', hint)
        return name in tree

    def text(self, value: object, path: str, what: str = "text", *, empty: bool = False) -> str:
        """Return text that cannot have meant anything else."""
        if type(value) is str:
            if not value and not empty:
                self.refuse(path, "empty", f"{what} is wanted, found an empty text", "leave it out, or write something")
            elif not names.is_unicode(value):
                self.refuse(path, "not_unicode", f"{names.show(value)} holds half of a surrogate pair", "remove it")
            return value
        self._no_text(value, path, what)
        return str(value) if isinstance(value, str) else ""

    def _no_text(self, value: object, path: str, what: str) -> None:
        if isinstance(value, Unquoted):
            message = f"{what} is wanted, and {value} without quotes is not text to every YAML reader"
            self.refuse(path, QUOTE, message, f'quote it: "{value}"')
        elif isinstance(value, bool | int | float):
            self.refuse(path, QUOTE, f"{what} is wanted, found {describe(value)}", f'quote it: "{as_written(value)}"')
        else:
            self.wanted(value, path, what)

    def variant(self, value: object, path: str) -> str:
        """Return a variant's key; `on` and `off` need no quotes here."""
        if isinstance(value, Unquoted) and value in _VARIANT_WORDS:
            return str(value)
        if isinstance(value, bool) or (isinstance(value, Unquoted) and value in _BOOLEAN_WORDS):
            written = as_written(value)
            hint = f'write "{_BOOLEAN_WORDS[written]}", or quote it if there is a variant "{written}"'
            self.refuse(path, UNCLEAR, f"a variant is wanted, found the boolean {written}", hint)
            return ""
        text = self.text(value, path, "a variant")
        if text and isinstance(value, str) and (why := variant_fault(text)):
            self.refuse(path, "bad_variant", f"{names.show(text)} cannot be a variant: {why}", names.VARIANT_HINT)
        return text

    def name(self, read: Callable[[object, str], str], name: object, path: str) -> str:
        """Read the name of a map's entry whose place is `path`, as what `read` reads."""
        before = len(self.problems)
        text = read(name, path)
        self.problems[before:] = [
            replace(problem, code=QUOTE_NAME) if problem.code == QUOTE else problem
            for problem in self.problems[before:]
        ]
        return text

    def key(self, value: object, path: str, what: str) -> str:
        """Return a resource's key, spelled without anything that could be mistaken."""
        text = self.text(value, path, f"the key of {what}")
        if text and isinstance(value, str) and (why := names.why_no_key(text)):
            self.refuse(path, "bad_key", f"{names.show(text)} cannot be the key of {what}: {why}", names.KEY_HINT)
        return text

    def unit_kind(self, value: object, path: str) -> str:
        """Return a kind of unit."""
        text = self.text(value, path, "a kind of unit")
        if text and isinstance(value, str) and (why := names.why_no_unit_kind(text)):
            message = f"{names.show(text)} cannot be a kind of unit: {why}"
            self.refuse(path, "bad_unit", message, names.UNIT_KIND_HINT)
        return text

    def number(self, value: object, path: str) -> int | float:
        """Return a finite number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wanted(value, path, "a number")
            return 0
        if value - value != 0:  # infinite, or not a number
            self.refuse(path, "wrong_type", "a finite number is wanted", "write a number")
            return 0
        self._one_number(value, path)
        return float(value) if isinstance(value, float) else int(value)

    def integer(self, value: object, path: str) -> int:
        """Return a whole number; 3.0 is one, as it is for JSON Schema."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            self.wanted(value, path, "a whole number")
            return 0
        self._one_number(value, path)
        return int(value)

    def _one_number(self, value: float, path: str) -> None:
        """Note leading zeros, which make an octal number to some YAML readers."""
        if isinstance(value, SpelledInt) and re.match(r"[-+]?0[0-9]", value.written):
            message = f"{value.written} is {int(value)} to some YAML readers and an octal number to others"
            self.refuse(path, UNCLEAR, message, f"write {int(value)}")

    def boolean(self, value: object, path: str) -> bool:
        """Return true or false."""
        if not isinstance(value, bool):
            self.wanted(value, path, "true or false")
            return False
        return value

    def scalar(self, value: object, path: str) -> bool | int | float | str:
        """Return a scalar of any type that was not written in a way some reader takes for another."""
        if value is None or not isinstance(value, bool | int | float | str):
            self.wanted(value, path, "text, a number, true or false")
            return ""
        return self.clear(value, path)

    def clear(self, value: Scalar, path: str) -> bool | int | float | str:
        """Return a plain scalar; note one whose spelling leaves open what was meant."""
        match value:
            case Unquoted():
                message = f"{value} without quotes is not the same to every YAML reader"
                meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.casefold())
                other = f", or write {meant}" if meant else ""
                self.refuse(path, UNCLEAR, message, f'quote it: "{value}"{other}')
            case SpelledInt() | SpelledFloat():
                plain = float(value) if isinstance(value, float) else int(value)
                message = f"{value.written} without quotes is the number {plain!r}"
                self.refuse(path, UNCLEAR, message, f'write {plain!r}, or quote it: "{value.written}"')
            case bool():
                return value
            case str():
                return self.text(value, path, empty=True)
            case _:
                return self.number(value, path)
        return ""

    def share(self, value: object, path: str) -> int:
        """Return a share in ppm from a percentage such as 25% or "0.5%"."""
        if not isinstance(value, str):
            if isinstance(value, int | float) and not isinstance(value, bool):
                message = f"a percentage is wanted, found {describe(value)}"
                self.refuse(path, "bad_percentage", message, f"write {as_written(value)}%")
            else:
                self.wanted(value, path, "a percentage")
            return 0
        try:
            return percent.parse(value)
        except percent.NotAPercentage as wrong:
            self.refuse(path, "bad_percentage", f"{names.show(value)} {wrong}", wrong.hint)
            return 0

    def items(self, value: object, path: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
        """Read each entry of a list."""
        if not isinstance(value, list):
            self.wanted(value, path, "a list")
            return ()
        return tuple(read(item, paths.child(path, index)) for index, item in enumerate(value))

    def texts(self, value: object, path: str, what: str, *, characters_max: int) -> tuple[str, ...]:
        """Read a list of texts; a million of them in well under a second."""
        if isinstance(value, list) and set(map(type, value)) <= {str} and all(value) and _short(value, characters_max):
            try:
                "".join(value).encode()
            except UnicodeEncodeError:
                pass
            else:
                return tuple(value)

        def one(item: object, place: str) -> str:
            text = self.text(item, place, what)
            if len(text) > characters_max:
                message = f"{what} has at most {characters_max} characters, this has {len(text)}"
                self.refuse(place, "too_long", message, "shorten it")
            return text

        return self.items(value, path, one)

    def value(self, value: object, path: str) -> Json:
        """Return a JSON value, checked to its leaves."""
        match value:
            case None:
                return None
            case dict():
                return {
                    self._name(name, path): self.value(inner, paths.child(path, str(name)))
                    for name, inner in value.items()
                }
            case list():
                return [self.value(item, paths.child(path, index)) for index, item in enumerate(value)]
            case bool() | int() | float() | str():
                return self.clear(value, path)
            case _:
                self.wanted(value, path, "a JSON value")
                return None

    def _name(self, name: object, path: str) -> str:
        if type(name) is str and name.isascii():
            return name
        return self.name(lambda text, place: self.text(text, place, empty=True), name, paths.child(path, str(name)))


def _short(texts: list[str], characters_max: int) -> bool:
    return max(map(len, texts), default=0) <= characters_max
