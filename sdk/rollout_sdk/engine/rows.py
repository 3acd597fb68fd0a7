"""The rules of one flag as objects: what `generated` is to the pure engine, for the compiled one (docs/adr/0014).

Compiled, a method of such an object costs a tenth of a call of a closure or of a Python function; as Python it would be
slower than either. A rule needs *true*, so unknown and false are one here. What is not written out below asks the
condition's own closure, as `generated` does for the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.limits import SUBJECT_CHARS
from rollout_sdk.engine.model import All, Any, Leaf, OnMissing
from rollout_sdk.engine.values import MISSING

if TYPE_CHECKING:
    from rollout_sdk.engine.conditions import Asked
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.generated import Ready
    from rollout_sdk.engine.model import Condition

Attributes: TypeAlias = dict[str, object]

IS_NATIVE: Final = not isinstance(compile_condition, FunctionType)
"""Whether the engine is compiled."""

# Final: compiled, these are numbers and no look-ups.
_CHARS_MAX: Final = SUBJECT_CHARS
_LESS: Final = 0
_AT_MOST: Final = 1
_MORE: Final = 2
_AT_LEAST: Final = 3
_COMPARISONS: Final[Mapping[str, int]] = {"<": _LESS, "<=": _AT_MOST, ">": _MORE, ">=": _AT_LEAST}


class Test:
    """A condition of which only *true* is wanted: here, one that asks its closure."""

    def __init__(self, asked: Asked) -> None:
        """Ask this."""
        self.asked = asked

    def holds(self, context: Context, attributes: Attributes) -> bool:  # noqa: ARG002 - others look there first
        """Whether it is true of a context with these attributes."""
        return self.asked(context) is True


class _OfAttribute(Test):
    """Looks at one attribute; its closure is asked where that is of another class than it nearly always is."""

    def __init__(self, asked: Asked, name: str) -> None:
        super().__init__(asked)
        self.name = name


class _OfText(_OfAttribute):
    """Looks at text, which it nearly always is."""

    def holds(self, context: Context, attributes: Attributes) -> bool:
        value = attributes.get(self.name, MISSING)
        if type(value) is str:
            return self.fits(value)
        return value is not MISSING and self.asked(context) is True

    def fits(self, value: str) -> bool:  # noqa: ARG002 - each says which
        """Whether it is true of this text."""
        return False


class _OfOneText(_OfText):
    def __init__(self, asked: Asked, name: str, text: str) -> None:
        super().__init__(asked, name)
        self.text = text


class _IsText(_OfOneText):
    def fits(self, value: str) -> bool:
        return value == self.text


class _Begins(_OfOneText):
    def fits(self, value: str) -> bool:
        return value.startswith(self.text) and len(value) <= _CHARS_MAX


class _Ends(_OfOneText):
    def fits(self, value: str) -> bool:
        return value.endswith(self.text) and len(value) <= _CHARS_MAX


class _InTexts(_OfText):
    def __init__(self, asked: Asked, name: str, texts: frozenset[object]) -> None:
        super().__init__(asked, name)
        self.texts = texts

    def fits(self, value: str) -> bool:
        return value in self.texts


class _Compares(_OfAttribute):
    def __init__(self, asked: Asked, name: str, how: int, number: int) -> None:
        super().__init__(asked, name)
        self.how = how
        self.number = number

    def holds(self, context: Context, attributes: Attributes) -> bool:
        value = attributes.get(self.name, MISSING)
        if type(value) is not int:
            return value is not MISSING and self.asked(context) is True
        if self.how == _LESS:
            return value < self.number
        if self.how == _AT_MOST:
            return value <= self.number
        return value > self.number if self.how == _MORE else value >= self.number


class _AllOf(Test):
    def __init__(self, asked: Asked, parts: list[Test]) -> None:
        super().__init__(asked)
        self.parts = parts

    def holds(self, context: Context, attributes: Attributes) -> bool:
        for part in self.parts:  # noqa: SIM110 - compiled, a generator costs more than all it asks
            if not part.holds(context, attributes):
                return False
        return True


class _AnyOf(Test):
    def __init__(self, asked: Asked, parts: list[Test]) -> None:
        super().__init__(asked)
        self.parts = parts

    def holds(self, context: Context, attributes: Attributes) -> bool:
        for part in self.parts:  # noqa: SIM110 - as above
            if part.holds(context, attributes):
                return True
        return False


class _Row:
    """One rule; see `generated.Ready`."""

    def __init__(self, test: Test | None, number: int, splitter: Callable[[Context], int | None] | None) -> None:
        self.test = test
        self.number = number
        self.splitter = splitter


def rows(
    rules: Sequence[Ready], cohorts: Mapping[str, Asked], default: int, no_unit: int
) -> Callable[[Context], int] | None:
    """Return what answers as the rules do, one after another; None where closures alone are as quick.

    The arguments are those of `generated.generate`.
    """
    made = [
        _Row(None if rule.when is None else _test(rule.when, rule.asked, cohorts), rule.number, rule.splitter)
        for rule in rules
    ]

    if all(row.test is None or type(row.test) is Test for row in made):
        return None

    def evaluate(context: Context) -> int:
        attributes = cast("Attributes", context.attributes)
        otherwise = default
        for row in made:
            test = row.test
            if test is None or test.holds(context, attributes):
                splitter = row.splitter
                if splitter is None:
                    return row.number
                split = splitter(context)
                if split is not None:
                    return split
                otherwise = no_unit
        return otherwise

    return evaluate


def _test(condition: Condition, asked: Asked | None, cohorts: Mapping[str, Asked]) -> Test:
    asked = asked or compile_condition(condition, cohorts)
    match condition:
        case Leaf():
            return _leaf(condition, asked)
        case All(conditions=parts) if parts:
            return _AllOf(asked, [_test(part, None, cohorts) for part in parts])
        case Any(conditions=parts) if parts:
            return _AnyOf(asked, [_test(part, None, cohorts) for part in parts])
        case _:
            return Test(asked)


def _leaf(leaf: Leaf, asked: Asked) -> Test:
    """Return what looks at the attribute itself, for leaves of one attribute that are not true of a missing one."""
    name, operand = leaf.subject, leaf.operand
    if leaf.is_unit or leaf.ignore_case or "." in name or leaf.on_missing is OnMissing.MATCH:
        return Test(asked)
    if type(operand) is int and leaf.operator in _COMPARISONS:
        return _Compares(asked, name, _COMPARISONS[leaf.operator], operand)
    texts = operand if type(operand) is tuple else (operand,)
    if any(type(text) is not str for text in texts):
        return Test(asked)
    match leaf.operator, texts:
        # Text that is too long to be read equals none of these: operands are shorter, see `limits`.
        case (("equals" | "in"), (str() as text,)):
            return _IsText(asked, name, text)
        case (("equals" | "in"), _):
            return _InTexts(asked, name, frozenset(texts))
        case "starts_with", (str() as text,):
            return _Begins(asked, name, text)
        case "ends_with", (str() as text,):
            return _Ends(asked, name, text)
        case _:
            return Test(asked)
