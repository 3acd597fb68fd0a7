"""Decisions: one lookup, one closure, at most one hash, and an answer that exists already.

`decide` is total. It never raises, does no input or output and reads no clock, whatever flag key, context and default
it is given; and the value is of the type asked for, or it is the caller's default.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.context import EMPTY, Context
from rollout_sdk.engine.model import Decision, Json, Origin, Reason, ValueType
from rollout_sdk.engine.outcomes import copy_json
from rollout_sdk.engine.values import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_sdk.engine.compiled import CompiledFlag
    from rollout_sdk.engine.outcomes import Outcome
    from rollout_sdk.engine.rules import Evaluate

_class: Callable[[object], object] = type
"""`type` under another name: the word is an argument of `decide`."""


_Entry: TypeAlias = "tuple[Evaluate, _Decisions, ValueType]"

Watch: TypeAlias = "Callable[[CompiledFlag], Evaluate]"
"""Gives what decides a flag when somebody asks for it, counting included. It answers as the flag's own rules do."""


class Decider:
    """Decides by one compiled ruleset in the name of one origin. Safe to share between threads."""

    __slots__ = ("_bound", "_flags", "_quarantined", "_versions", "_widened", "origin")

    def __init__(
        self,
        flags: Mapping[str, CompiledFlag],
        quarantined: Mapping[str, str],
        versions: Mapping[str, int],
        origin: Origin,
        watch: Watch | None = None,
    ) -> None:
        """Use `CompiledRuleset.bind`."""
        self.origin = origin
        self._flags = flags
        self._quarantined = quarantined
        self._versions = versions
        self._bound = _Bound(flags, origin, watch)
        self._widened = _Widened(flags, origin)

    def decide(
        self,
        flag_key: str,
        context: Context,
        default: Json = None,
        type: ValueType | None = None,  # noqa: A002 - the word of the field
    ) -> Decision:
        """Decide one flag for one context.

        Args:
            flag_key: of a flag; anything else is an unknown flag.
            context: anything but a `Context` counts as an empty one.
            default: what to serve where no rules can; given back as it is.
            type: None takes the flag's own. An integer flag asked for a float serves its whole number as a float, if
                all its variants are exact so; any other difference is the default, reason `WRONG_TYPE`. A boolean is
                no integer, and a flag is json only if it says so.

        Returns:
            The same object for the same answer. Values of json flags that are lists or maps are copies, and so are
            their decisions: a caller may change them.
        """
        try:
            evaluate, decisions, own = self._bound[flag_key]
            if _class(context) is not Context:
                context = EMPTY
            if type is None or type is own:
                return decisions[evaluate(context)]
            widened = self._widened[flag_key] if type is ValueType.FLOAT and own is ValueType.INTEGER else None
            if widened is not None:
                return widened[evaluate(context)]
            return self._default(flag_key, default, Reason.WRONG_TYPE)
        except Exception:  # noqa: BLE001 - total by contract; what failed is found out below
            return self._otherwise(flag_key, context, default, type)

    def decide_all(self, context: Context) -> dict[str, Decision]:
        """Decide every flag for one context, each of its own type; one without rules in force serves None.

        Nobody watches: who looks at all flags uses none of them.
        """
        context = context if _class(context) is Context else EMPTY
        decisions = {key: self._unwatched(key, context) for key in self._flags}
        for key in self._quarantined:
            if key not in decisions:
                decisions[key] = self._default(key, None, Reason.ERROR)
        return decisions

    def _unwatched(self, key: str, context: Context) -> Decision:
        try:
            _, decisions, _ = self._bound[key]
            return decisions[self._flags[key].rules.evaluate(context)]
        except Exception:  # noqa: BLE001 - total by contract
            return self._default(key, None, Reason.ERROR)

    def _otherwise(self, flag_key: object, context: Context, default: Json, wanted: ValueType | None) -> Decision:
        """Decide where the quick way failed: an odd key, an unknown flag, a flag without rules, or a fault of ours."""
        key = as_text(flag_key)
        if key is None:
            return self._default("", default, Reason.UNKNOWN_FLAG)
        if key is not flag_key:  # a subclass of str, whose hash may be anything
            return self.decide(key, context, default, wanted)
        if key in self._flags or key in self._quarantined:
            return self._default(key, default, Reason.ERROR)
        return self._default(key, default, Reason.UNKNOWN_FLAG)

    def _default(self, key: str, default: Json, reason: Reason) -> Decision:
        flag = self._flags.get(key)
        version = flag.version if flag is not None else self._versions.get(key, 0)
        return Decision(key, default, reason, None, self.origin, None, version)


def decision_of(compiled: CompiledFlag, outcome: Outcome, value: Json, origin: Origin) -> Decision:
    """Return the decision that an outcome of a flag is."""
    exposure = outcome.exposure or ()
    return Decision(
        compiled.flag.key,
        value,
        outcome.reason,
        outcome.variant,
        origin,
        outcome.rule,
        compiled.version,
        *exposure,
    )


def _with_value(decision: Decision, value: Json) -> Decision:
    """As `dataclasses.replace` would, at a third of its price: json flags pay it for every decision."""
    return Decision(
        decision.flag,
        value,
        decision.reason,
        decision.variant,
        decision.origin,
        decision.rule,
        decision.flag_version,
        decision.rollout,
        decision.run,
        decision.stage,
        decision.arm,
        decision.allocation,
        decision.reach_ppm,
    )


def decision_json(decision: Decision) -> str:
    """Return a decision as JSON text, its fields in one order: the same decision is the same text, byte for byte.

    Raises:
        ValueError: the value is a caller's default that JSON cannot say.
    """
    fields: dict[str, Json] = {
        "flag": decision.flag,
        "variant": decision.variant,
        "value": decision.value,
        "reason": decision.reason.value,
        "rule": decision.rule,
        "flag_version": decision.flag_version,
        "epoch": decision.epoch,
        "revision": decision.revision,
        "stale": decision.stale,
    }
    if decision.rollout is not None:  # decisions without one are the same text as before there were rollouts
        fields |= {
            "rollout": decision.rollout,
            "run": decision.run,
            "stage": decision.stage,
            "arm": decision.arm.value if decision.arm is not None else None,
            "allocation": decision.allocation,
            "reach_ppm": decision.reach_ppm,
        }
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the value of flag {decision.flag!r} cannot be said in JSON: {error}") from None


class _Bound(dict[str, "_Entry"]):
    """What decides each flag, bound when first asked for: a new revision costs nothing for flags that nobody asks."""

    __slots__ = ("_flags", "_origin", "_watch")

    def __init__(self, flags: Mapping[str, CompiledFlag], origin: Origin, watch: Watch | None) -> None:
        super().__init__()
        self._flags = flags
        self._origin = origin
        self._watch = watch

    def __missing__(self, key: str) -> _Entry:
        compiled = self._flags[key]
        flag = compiled.flag
        decisions = (_CopiedDecisions if flag.type is ValueType.JSON else _Decisions)(
            compiled, compiled.rules.values, self._origin
        )
        # Two threads may come here at once; setdefault lets one win, so that decisions stay interned.
        evaluate = compiled.rules.evaluate if self._watch is None else self._watch(compiled)
        return self.setdefault(key, (evaluate, decisions, flag.type))


class _Widened(dict[str, "_Decisions | None"]):
    """Decisions of integer flags as floats; None where a variant would not be the same number."""

    __slots__ = ("_flags", "_origin")

    def __init__(self, flags: Mapping[str, CompiledFlag], origin: Origin) -> None:
        super().__init__()
        self._flags = flags
        self._origin = origin

    def __missing__(self, key: str) -> _Decisions | None:
        compiled = self._flags[key]
        numbers = {variant: value for variant, value in compiled.rules.values.items() if type(value) is int}
        floats: dict[str, Json] = {variant: float(value) for variant, value in numbers.items()}
        exact = floats == numbers
        return self.setdefault(key, _Decisions(compiled, floats, self._origin) if exact else None)


class _Decisions(dict[int, Decision]):
    """The decisions of one flag by the number of their outcome, made when first asked for and then interned."""

    __slots__ = ("_compiled", "_origin", "_values")

    def __init__(self, compiled: CompiledFlag, values: Mapping[str, Json], origin: Origin) -> None:
        super().__init__()
        self._compiled = compiled
        self._values = values
        self._origin = origin

    def __missing__(self, number: int) -> Decision:
        compiled = self._compiled
        outcome = compiled.rules.outcomes[number]
        return self.setdefault(
            number,
            decision_of(compiled, outcome, self._values[outcome.variant], self._origin),
        )


class _CopiedDecisions(_Decisions):
    """The same for json flags: whoever gets a list or a map gets one of his own."""

    __slots__ = ()

    def __getitem__(self, number: int) -> Decision:
        decision = super().__getitem__(number)
        if type(decision.value) in (dict, list):
            return _with_value(decision, copy_json(decision.value))
        return decision
