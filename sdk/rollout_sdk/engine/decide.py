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


_Decisions: TypeAlias = "list[Decision | None]"
"""The decisions of one flag by the number of their outcome, interned when first served.

None until then, and for good where the value is a list or a map: whoever gets that gets one of his own.
"""

Entry: TypeAlias = "tuple[Evaluate, _Decisions, ValueType, CompiledFlag]"
"""What a flag is decided with, once somebody asked for it: `decisions[evaluate(context)]`, if asked for its own type.

Where that is None, ask the decider.
"""

Bound: TypeAlias = "dict[object, Entry]"

Watch: TypeAlias = "Callable[[CompiledFlag], Evaluate]"
"""Gives what decides a flag when somebody asks for it, counting included. It answers as the flag's own rules do."""


class Decider:
    """Decides by one compiled ruleset in the name of one origin. Safe to share between threads.

    A flag is bound when it is first asked for: a new revision costs nothing for flags that nobody asks. Where two
    threads come to the same first at once, `setdefault` lets one win, so that decisions stay interned.

    Attributes:
        origin: of every decision.
        bound: the flags that were asked for, for callers in a hurry to read (`client`).
    """

    __slots__ = ("_all", "_flags", "_making", "_quarantined", "_versions", "_watch", "_widened", "bound", "origin")

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
        self._watch = watch
        self.bound: Bound = {}
        self._making: dict[tuple[str, int], Decision] = {}
        self._widened: dict[str, tuple[Decision, ...] | None] = {}
        self._all: list[tuple[str, Evaluate, _Decisions, CompiledFlag]] | None = None

    def decide(
        self,
        flag_key: object,
        context: Context,
        default: object = None,
        type: ValueType | None = None,  # noqa: A002 - the word of the field
    ) -> Decision:
        """Decide one flag for one context.

        Takes anything, so that the compiled engine, which holds callers to annotations, is as total as this source.

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
            evaluate, decisions, own, compiled = self.bound[flag_key]
            if _class(context) is not Context:
                context = EMPTY
            if type is None or type is own:
                number = evaluate(context)
                return decisions[number] or self._made(compiled, number, decisions)
            return self._as_another(compiled, evaluate, context, default, type)
        except Exception:  # noqa: BLE001 - total by contract; what failed is found out below
            return self._otherwise(flag_key, context, default, type)

    def decide_all(self, context: Context) -> dict[str, Decision]:
        """Decide every flag for one context, each of its own type; one without rules in force serves None.

        Nobody watches: who looks at all flags uses none of them.
        """
        context = context if _class(context) is Context else EMPTY
        found: dict[str, Decision] = {}
        try:
            everything = self._everything()
        except Exception:  # noqa: BLE001 - total by contract: flags that are still to be read, and no stack to do it on
            everything = []
        for key, evaluate, decisions, compiled in everything:
            try:
                number = evaluate(context)
                found[key] = decisions[number] or self._made(compiled, number, decisions)
            except Exception:  # noqa: BLE001 - total by contract
                found[key] = self._default(key, None, Reason.ERROR)
        for key in tuple(self._quarantined):
            if key not in found:
                found[key] = self._default(key, None, Reason.ERROR)
        return found

    def _everything(self) -> list[tuple[str, Evaluate, _Decisions, CompiledFlag]]:
        if self._all is None:
            bound = [(key, self._entry(key)) for key in self._flags]  # first, for this makes them quick
            self._all = [
                (key, compiled.rules.evaluate, decisions, compiled) for key, (_, decisions, _, compiled) in bound
            ]
        return self._all

    def _entry(self, key: str) -> Entry:
        entry = self.bound.get(key)
        if entry is None:
            compiled = self._flags[key]
            compiled.rules.quicken()
            evaluate = compiled.rules.evaluate if self._watch is None else self._watch(compiled)
            decisions: _Decisions = [None] * len(compiled.rules.outcomes)
            entry = self.bound.setdefault(key, (evaluate, decisions, compiled.flag.type, compiled))
        return entry

    def _made(self, compiled: CompiledFlag, number: int, decisions: _Decisions) -> Decision:
        """Return a decision that nobody was served before, or whose value each caller gets a copy of."""
        outcome = compiled.rules.outcomes[number]
        value = compiled.rules.values[outcome.variant]
        if type(value) in (dict, list):
            return decision_of(compiled, outcome, copy_json(value), self.origin)
        made = decision_of(compiled, outcome, value, self.origin)
        # Of threads that come here at once one wins, and whoever is late finds it in the list.
        made = self._making.setdefault((compiled.flag.key, number), made)
        if decisions[number] is None:
            decisions[number] = made
        self._making.pop((compiled.flag.key, number), None)
        return decisions[number] or made

    def _as_another(
        self, compiled: CompiledFlag, evaluate: Evaluate, context: Context, default: object, wanted: ValueType
    ) -> Decision:
        """Decide a flag for a caller who wants another type than its own."""
        key = compiled.flag.key
        if wanted is ValueType.FLOAT and compiled.flag.type is ValueType.INTEGER:
            if key not in self._widened:
                self._widened.setdefault(key, _widened(compiled, self.origin))
            widened = self._widened[key]
            if widened is not None:
                return widened[evaluate(context)]
        return self._default(key, default, Reason.WRONG_TYPE)

    def _otherwise(self, flag_key: object, context: Context, default: object, wanted: ValueType | None) -> Decision:
        """Decide where the quick way failed: a flag asked first, an odd or unknown key, or a fault of ours."""
        key = as_text(flag_key)
        if key is None:
            return self._default("", default, Reason.UNKNOWN_FLAG)
        if key is not flag_key:  # a subclass of str, whose hash may be anything
            return self.decide(key, context, default, wanted)
        try:
            if key in self._flags:  # bound or not: another thread may have bound it since this one looked
                return self._decided(self._entry(key), context, default, wanted)
        except Exception:  # noqa: BLE001 - total by contract
            return self._default(key, default, Reason.ERROR)
        return self._default(key, default, Reason.ERROR if key in self._quarantined else Reason.UNKNOWN_FLAG)

    def _decided(self, entry: Entry, context: Context, default: object, wanted: ValueType | None) -> Decision:
        """Decide without haste, as `decide` does."""
        evaluate, decisions, own, compiled = entry
        context = context if _class(context) is Context else EMPTY
        if wanted is not None and wanted is not own:
            return self._as_another(compiled, evaluate, context, default, wanted)
        number = evaluate(context)
        return decisions[number] or self._made(compiled, number, decisions)

    def _default(self, key: str, default: object, reason: Reason) -> Decision:
        try:
            flag = self._flags.get(key)
        except Exception:  # noqa: BLE001 - total by contract: it is still to be read, and there is no stack to do it on
            flag = None
        version = flag.version if flag is not None else self._versions.get(key, 0)
        # What a caller gives as default is given back, JSON or not.
        return Decision(key, default, reason, None, self.origin, None, version)  # type: ignore[arg-type]


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


def decision_json(decision: Decision) -> str:
    """Return a decision as JSON text, its fields in one order: the same decision is the same text, byte for byte.

    Raises:
        ValueError: the value is a caller's default that JSON cannot say.
    """
    try:
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
        return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the value of flag {decision.flag!r} cannot be said in JSON: {error}") from None


def _widened(compiled: CompiledFlag, origin: Origin) -> tuple[Decision, ...] | None:
    """Return the decisions of an integer flag as floats; None where a variant would not be the same number."""
    numbers = {variant: value for variant, value in compiled.rules.values.items() if type(value) is int}
    floats: dict[str, Json] = {variant: float(value) for variant, value in numbers.items()}
    if floats != numbers:
        return None
    return tuple([decision_of(compiled, each, floats[each.variant], origin) for each in compiled.rules.outcomes])
