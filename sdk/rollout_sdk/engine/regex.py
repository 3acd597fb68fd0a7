"""Regular expressions in RE2 syntax: linear time, whatever the expression and the text.

re2 is imported when the first expression is compiled, not before: most rulesets hold none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rollout_sdk.engine.limits import REGEX_PROGRAM, REGEX_SUBJECT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

EXPRESSION_BYTES = 4 << 20
"""Memory that one expression may take, RE2's `max_mem`: small ones take little, and large ones slow down instead."""


class _Pattern(Protocol):
    @property
    def programsize(self) -> int: ...

    def search(self, text: bytes) -> object | None: ...


def compile_regex(pattern: str, *, ignore_case: bool = False) -> Callable[[str], bool | None]:
    """Return a search: whether the expression matches anywhere in a text.

    The search answers None for text that is longer than `limits.REGEX_SUBJECT_BYTES` or not Unicode.

    Raises:
        ValueError: RE2 does not take the expression.
    """
    search = _compile(pattern, ignore_case=ignore_case).search

    def matches(text: str) -> bool | None:
        if len(text) > REGEX_SUBJECT_BYTES:
            return None
        try:
            subject = text.encode()
        except UnicodeEncodeError:
            return None
        if len(subject) > REGEX_SUBJECT_BYTES:
            return None
        return search(subject) is not None

    return matches


def regex_fault(pattern: str, factor: int = 1) -> str:
    """Return why an expression is not taken; empty when it is.

    Args:
        pattern: RE2 syntax.
        factor: how many times `limits.REGEX_PROGRAM` is allowed.
    """
    try:
        size = max(_compile(pattern, ignore_case=ignore_case).programsize for ignore_case in (False, True))
    except ValueError as error:
        return str(error)
    if size > REGEX_PROGRAM * factor:
        return f"it takes {size} steps, more than {REGEX_PROGRAM * factor}"
    return ""


def _compile(pattern: str, *, ignore_case: bool) -> _Pattern:
    import re2

    options = re2.Options()
    options.log_errors = False  # RE2 would write to stderr
    options.never_capture = True  # only whether it matches is asked
    options.case_sensitive = not ignore_case
    options.max_mem = EXPRESSION_BYTES
    try:
        compiled: _Pattern = re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from error
    return compiled
