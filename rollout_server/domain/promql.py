"""Queries of metrics: placeholders, what a query counts, and the PromQL that is asked.

A placeholder is a name in braces inside the quotes of a label's value: `{arm="{arm}"}`. There braces mean nothing to
PromQL, so nothing that PromQL could say is taken away. Values are filled in so that the label's value is exactly the
text, whatever the quotes are and whatever is in the text; in the pattern of `=~` and `!~`, so that it matches exactly.

Source: <https://prometheus.io/docs/prometheus/latest/querying/basics/>.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import promql_parser

ARM: Final = "arm"
VARIANT: Final = "variant"
REACH: Final = "reach"
PLACEHOLDERS: Final = (ARM, "rollout", "run", "flag", VARIANT, "environment", REACH)

NESTING_MAX: Final = 16
OPERATORS_MAX: Final = 48
"""The parser is recursive, and a program whose stack is full ends: it never sees more than this."""

TOKEN: Final = re.compile(
    r"""(?P<quoted>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|(?P<comment>\#[^\n]*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<quote>["'`])""",
    re.VERBOSE,
)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PATTERN = re.compile(r"[=!]~\s*\Z")
_OPERATOR = re.compile(r"[-+*/%^<>]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_SHIFT = re.compile(r"@|\boffset\b", re.IGNORECASE)
_ENDLESS = re.compile(r"\b(?:inf|nan|\d[\d._]*e\+?\d{3,}|\d{17,})\b", re.IGNORECASE)
_META = re.compile(r"[.+*?()|\[\]{}^$\\]")


@dataclass(frozen=True, slots=True)
class Counter:
    """Series that only grow, until their process starts again.

    Attributes:
        selector: PromQL of the series themselves. A sum around them is left out: a sum hides that one of them began
            again, and whoever asks adds them up anyway.
    """

    selector: str


@dataclass(frozen=True, slots=True)
class Value:
    """Anything else: one number for each arm.

    Attributes:
        query: PromQL.
        span_ms: how far back it looks, by the ranges written in it, nested ones added up; 0 where none is.
    """

    query: str
    span_ms: int


class NotPromql(ValueError):
    """The text is no PromQL, or not of the kind that is wanted.

    Attributes:
        hint: what to write instead.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def placeholders(query: str) -> frozenset[str]:
    """Return what looks like a placeholder in a query, whether it is known or not."""
    return frozenset(
        name for token in TOKEN.finditer(query) if token["quoted"] for name in _PLACEHOLDER.findall(token["quoted"])
    )


def fill(query: str, values: Mapping[str, str]) -> str:
    """Return the query with each placeholder that has a value replaced, once: a value is never searched again."""
    parts, end = [], 0
    for token in TOKEN.finditer(query):
        parts.append(query[end : token.start()])
        is_pattern = _PATTERN.search(query, 0, token.start()) is not None
        parts.append(_filled(token[0], values, is_pattern=is_pattern) if token["quoted"] else token[0])
        end = token.end()
    return "".join((*parts, query[end:]))


def counter_of(query: str) -> Counter:
    """Return what a counter's query selects.

    Raises:
        NotPromql: it does not parse, or is no counter: a selector, alone or in `sum`.
    """
    import promql_parser as promql

    parsed = _parsed(query)
    inner = parsed
    while isinstance(inner, promql.ParenExpr) or _is_sum(inner):
        inner = inner.expr  # type: ignore[attr-defined] # both have one; the stubs know it of each alone
    if isinstance(inner, promql.VectorSelector):
        return Counter(inner.prettify())
    found = {selector.prettify() for selector in _selectors(parsed) if selector.name}
    shown = found.pop() if len(found) == 1 else "like errors_total{arm=...}"
    hint = f"write the counter itself, {shown}: what it grew by is worked out from its samples"
    raise NotPromql("this is no counter, but something worked out of counters", hint)


def value_of(query: str) -> Value:
    """Return what a bare ratio's query asks.

    Raises:
        NotPromql: it does not parse, or has no single value at a moment.
    """
    import promql_parser as promql

    parsed = _parsed(query)
    if isinstance(parsed, promql.MatrixSelector | promql.SubqueryExpr | promql.StringLiteral):
        raise NotPromql("this has no single value at a moment", "write a ratio, like rate(a[1m]) / rate(b[1m])")
    if not _selectors(parsed):
        raise NotPromql("this selects no series", "write a ratio, like rate(a[1m]) / rate(b[1m])")
    return Value(query, _span_ms(parsed))


def _span_ms(node: promql_parser.Expr) -> int:
    import promql_parser as promql

    nested, longest = [0.0], 0.0

    def enter(inner: promql.Expr) -> bool:
        nonlocal longest
        if isinstance(inner, promql.MatrixSelector | promql.SubqueryExpr):
            nested.append(nested[-1] + (inner.range.total_seconds() if inner.range else 0.0))
            longest = max(longest, nested[-1])
        return True

    def leave(inner: promql.Expr) -> bool:
        if isinstance(inner, promql.MatrixSelector | promql.SubqueryExpr):
            nested.pop()
        return True

    promql.walk(node, enter, leave)
    return round(longest * 1_000)


def _parsed(query: str) -> promql_parser.Expr:
    import promql_parser as promql

    _refuse_early(query)
    try:
        parsed = promql.parse(query)
    except ValueError as error:
        raise NotPromql(f"Prometheus could not parse this: {error}", "see the documentation of PromQL") from None
    if any(selector.matchers.or_matchers for selector in _selectors(parsed)):
        raise NotPromql('"or" between matchers is no PromQL', 'write a pattern: {code=~"500|503"}')
    return parsed


def _refuse_early(query: str) -> None:
    """Keep from the parser what it could not bear; `offset` and `@` are refused anyhow."""
    depth = 0
    for token in TOKEN.finditer(query):
        depth += bool(token["open"]) - bool(token["close"])
        if depth > NESTING_MAX:
            raise NotPromql(f"brackets are nested more than {NESTING_MAX} deep", "make a recording rule of it")
    outside = TOKEN.sub(lambda token: f" {token['open'] or token['close'] or ''} ", query)
    if len(_OPERATOR.findall(outside)) > OPERATORS_MAX:
        raise NotPromql(f"there are more than {OPERATORS_MAX} operators in it", "make a recording rule of it")
    if _SHIFT.search(outside):
        message = "offset and @ look at another moment, and arms are compared in the same one"
        raise NotPromql(message, "take the offset or @ out")
    if _ENDLESS.search(outside):
        raise NotPromql("a number in it is not finite", "take it out")


def _is_sum(node: promql_parser.Expr) -> bool:
    import promql_parser as promql

    return isinstance(node, promql.AggregateExpr) and str(node.op) == "sum"


def _selectors(node: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    import promql_parser as promql

    found: list[promql.VectorSelector] = []

    def visit(inner: promql.Expr) -> bool:
        if isinstance(inner, promql.VectorSelector):
            found.append(inner)
        return True

    promql.walk(node, visit)
    return found


def _filled(token: str, values: Mapping[str, str], *, is_pattern: bool) -> str:
    quote, inside = token[0], token[1:-1]
    if not any(name in values for name in _PLACEHOLDER.findall(inside)):
        return token
    if quote == "`":  # knows no escapes, so a value with ` in it could not be said
        quote, inside = '"', _escaped(inside, '"')

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            return found[0]
        text = values[found[1]]
        return _escaped(_META.sub(r"\\\g<0>", text) if is_pattern else text, quote)

    return f"{quote}{_PLACEHOLDER.sub(value, inside)}{quote}"


def _escaped(text: str, quote: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    return escaped.replace("\n", "\\n").replace("\r", "\\r")
