"""From bytes to text that every later step counts in the same lines and columns."""

from __future__ import annotations

import re
import unicodedata

from rollout_sdk.engine.problems import Problem
from rollout_server.domain.files.bounds import TEXT_BYTES_MAX

_BOM = "\ufeff"
# What no source may hold unescaped: controls, other line ends than those of files, half surrogates, and characters
# that make a reviewer see another order than a machine reads.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


class BadText(ValueError):
    """The text does not parse.

    Attributes:
        code: of the problem.
        index: where, in characters of the text as `decode` returned it.
        hint: what to do.
    """

    def __init__(self, code: str, message: str, index: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.index = index
        self.hint = hint

    def as_problem(self, origin: str) -> Problem:
        """Return it as a problem of a document that nobody could read."""
        return Problem("", "", self.code, str(self), self.hint, origin)


def decode(raw: str | bytes) -> str:
    r"""Return the text without byte order mark, its lines ending in "\n".

    Raises:
        BadText: too large, not UTF-8; nothing else is looked at then.
    """
    size = len(raw)
    if size > TEXT_BYTES_MAX:
        message = f"the file has {size} bytes, at most {TEXT_BYTES_MAX} are read"
        raise BadText("too_large", message, 0, "split it into several files")
    if isinstance(raw, str):
        return normal(raw)
    try:
        return normal(raw.decode("utf-8"))
    except UnicodeDecodeError as wrong:
        before = raw[: wrong.start].decode("utf-8")
        message = f"byte 0x{raw[wrong.start]:02X} is not UTF-8"
        raise BadText("not_utf8", message, len(normal(before)), "save the file as UTF-8") from None


def normal(text: str) -> str:
    r"""Drop a byte order mark and end every line in "\n"."""
    text = text.removeprefix(_BOM)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def refuse_hidden(text: str) -> None:
    """Check for characters that a reviewer would not see.

    Raises:
        BadText: there is one.
    """
    if found := HIDDEN.search(text):
        character = found[0]
        name = unicodedata.name(character, "a control character")
        hint = f'remove it, or write it as "\\u{ord(character):04X}" inside double quotes'
        raise BadText("hidden_character", f"U+{ord(character):04X} {name} stands here unseen", found.start(), hint)


def line_and_column(text: str, index: int, line: int = 1) -> tuple[int, int]:
    """Return the place of a character, counted from 1, in a text whose first line has number `line`."""
    before = text[:index]
    return line + before.count("\n"), index - (before.rfind("\n") + 1) + 1
