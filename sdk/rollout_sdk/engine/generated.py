"""The rules of one flag as one Python function, made when the flag is first asked for (docs/adr/0014).

Closures pay a call for every rule and another for every leaf. Here the conditions of all rules stand in one function,
whose source holds fixed words and numbers only: whatever a ruleset says, names and operands and variants, is an
argument of it and never part of it. So flags of one shape share one piece of code, and no ruleset can write any.

A rule needs *true*, so unknown and false are one here. What a leaf looks at is nearly always exact text or an exact
integer; for any other value, and for every operator that is not written out below, the leaf's own closure is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.limits import SUBJECT_CHARS
from rollout_sdk.engine.model import All, Any, Leaf, OnMissing
from rollout_sdk.engine.values import MISSING

if TYPE_CHECKING:
    from rollout_sdk.engine.conditions import Asked
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Condition

Function: TypeAlias = "Callable[[Context], int]"

LEAVES_MAX: Final = 64
"""Flags with more stay closures: their code would take milliseconds to make."""
SHAPES_MAX: Final = 512
"""Pieces of code kept, a few KiB each."""
SHARED_TEXTS_MAX: Final = 8
SHARED_CHARS_MAX: Final = 512
"""Equal sets of at most so many texts with so many characters are one object; what is shared outlives its ruleset."""

_COMPARISONS: Final = frozenset({"<", "<=", ">", ">="})
_ENDS: Final[Mapping[str, str]] = {"starts_with": "startswith", "ends_with": "endswith"}


class Ready(NamedTuple):
    """A compiled rule.

    Attributes:
        when: None holds for everybody.
        asked: the same, compiled.
        number: of the outcome it serves; -1 where it splits.
        splitter: None, or what gives the number, or None to pass on to the next rule.
    """

    when: Condition | None
    asked: Asked | None
    number: int
    splitter: Callable[[Context], int | None] | None


def generate(rules: Sequence[Ready], cohorts: Mapping[str, Asked], default: int, no_unit: int) -> Function | None:
    """Return what answers as the rules do, one after another; None where that is not worth its price.

    Args:
        rules: in order.
        cohorts: membership of every cohort that their conditions name.
        default: the number where no rule answers.
        no_unit: the same where a split was passed over.
    """
    writer = _Writer(cohorts)
    writer.write(rules, default, no_unit)
    if writer.leaves > LEAVES_MAX:
        return None
    function: Function = _factory("\n".join(writer.lines), len(writer.arguments))(*writer.arguments)
    return function


@lru_cache(maxsize=SHAPES_MAX)
def _factory(body: str, count: int) -> Callable[..., Function]:
    """Return what makes a function of a shape from its arguments."""
    names = [f"a{number}" for number in range(count)]
    # As defaults and not as cells, which would take five times the memory.
    held = ", ".join(["context", *[f"{name}={name}" for name in names]])
    source = f"def make({', '.join(names)}):\n  def evaluate({held}):\n{body}\n  return evaluate\n"
    made: dict[str, Callable[..., Function]] = {}
    given = {"__builtins__": {}, "type": type, "str": str, "int": int, "len": len, "MISSING": MISSING}
    exec(compile(source, "<rules of a flag>", "exec"), given, made)  # noqa: S102 - of fixed words and numbers, see above
    return made["make"]


class _Writer:
    """Writes the body of one function."""

    def __init__(self, cohorts: Mapping[str, Asked]) -> None:
        self.lines: list[str] = []
        self.arguments: list[object] = []
        self.leaves = 0
        self._cohorts = cohorts
        self._variables: dict[str, str] = {}

    def write(self, rules: Sequence[Ready], default: int, no_unit: int) -> None:
        self._line(2, "attributes = context.attributes")
        otherwise = str(default)
        if any(rule.splitter is not None for rule in rules):
            self._line(2, f"otherwise = {otherwise}")
            otherwise = "otherwise"
        for rule in rules:
            indent = 2
            if rule.when is not None and rule.asked is not None:
                test = self._test(rule.when, rule.asked)
                self._line(2, f"if {test}:")
                indent = 3
            if rule.splitter is None:
                self._line(indent, f"return {rule.number}")
                continue
            self._line(indent, f"split = {self._argument(rule.splitter)}(context)")
            self._line(indent, "if split is not None: return split")
            self._line(indent, f"otherwise = {no_unit}")
        self._line(2, f"return {otherwise}")

    def _test(self, condition: Condition, asked: Asked | None = None) -> str:
        """Return an expression that is true where the condition is true."""
        self.leaves += 1
        match condition:
            case Leaf() if _is_plain(condition):
                return self._leaf(condition, asked or compile_condition(condition, self._cohorts))
            case All(conditions=parts) if parts:
                return f"({' and '.join([self._test(part) for part in parts])})"
            case Any(conditions=parts) if parts:
                return f"({' or '.join([self._test(part) for part in parts])})"
            case _:
                return f"{self._argument(asked or compile_condition(condition, self._cohorts))}(context)"

    def _leaf(self, leaf: Leaf, asked: Asked) -> str:
        value, kind = self._variable(leaf.subject), "str"
        if leaf.operator in _ENDS:
            test = f"{value}.{_ENDS[leaf.operator]}({self._argument(leaf.operand)}) and len({value}) <= {SUBJECT_CHARS}"
        elif leaf.operator in _COMPARISONS:
            test, kind = f"{value} {leaf.operator} {self._argument(leaf.operand)}", "int"
        else:
            # Text that is too long to be read equals none of these: operands are shorter, see `limits`.
            texts = leaf.operand if type(leaf.operand) is tuple else (leaf.operand,)
            if len(texts) == 1:
                test = f"{value} == {self._argument(texts[0])}"  # at half the price of a look into a set
            else:
                is_small = (
                    len(texts) <= SHARED_TEXTS_MAX and sum([len(str(each)) for each in texts]) <= SHARED_CHARS_MAX
                )
                test = f"{value} in {self._argument(_texts(texts) if is_small else frozenset(texts))}"
        odd = f"{value} is not MISSING and {self._argument(asked)}(context)"
        return f"({test} if type({value}) is {kind} else {odd})"

    def _variable(self, name: str) -> str:
        """Return the variable that holds an attribute, read once."""
        if name not in self._variables:
            self._variables[name] = f"v{len(self._variables)}"
            self._line(2, f"{self._variables[name]} = attributes.get({self._argument(name)}, MISSING)")
        return self._variables[name]

    def _argument(self, value: object) -> str:
        self.arguments.append(value)
        return f"a{len(self.arguments) - 1}"

    def _line(self, indent: int, text: str) -> None:
        self.lines.append(f"{'  ' * indent}{text}")


@lru_cache(maxsize=SHAPES_MAX)
def _texts(texts: tuple[object, ...]) -> frozenset[object]:
    """Return a set; the same few texts stand in many flags."""
    return frozenset(texts)


def _is_plain(leaf: Leaf) -> bool:
    """Whether the leaf looks at one attribute by an operator that is written out, and is not true of a missing one."""
    if leaf.is_unit or leaf.ignore_case or "." in leaf.subject or leaf.on_missing is OnMissing.MATCH:
        return False
    if leaf.operator in _COMPARISONS or leaf.operator in _ENDS:
        return True
    first = leaf.operand[0] if type(leaf.operand) is tuple and leaf.operand else leaf.operand
    return leaf.operator in ("equals", "in") and type(first) is str
