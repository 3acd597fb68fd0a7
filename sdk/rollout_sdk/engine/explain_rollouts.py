"""The steps of a rollout's answer: its unit, its `never`, each stage entered, the reach, and the bucket against it.

Like `explain`, a reading of its own, apart from the closures of `exposure`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.bucketing import bucket
from rollout_sdk.engine.explain_conditions import ConditionWalk, Step, result_word
from rollout_sdk.engine.model import Arm, Reason
from rollout_sdk.engine.outcomes import Exposure, Outcome
from rollout_sdk.engine.shown import percent, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.compiled import CompiledRollout
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Condition, Flag, Reach

_NEVER = {False: "", True: "keeps it out", None: "keeps it out; unknown counts as true in never"}


class RolloutWalk:
    """Answers one context by one rollout, and writes down a step for each thing it looks at."""

    def __init__(self, steps: list[Step], context: Context, rollout: CompiledRollout, held_back: str | None) -> None:
        """Write into `steps`; `held_back` says what is wrong with a newer state than the one in force."""
        self._steps = steps
        self._context = context
        self._state = rollout.state
        self._held_back = held_back
        self._conditions = ConditionWalk(steps, context, rollout.cohorts)

    def run(self, flag: Flag, rule: str) -> tuple[Outcome, str]:
        """Return the outcome, and what the rule's own step says of it."""
        state = self._state
        if self._held_back is not None:
            self._step(f"rollout {state.rollout}", True, f"{self._held_back}; the last good state decides")
        unexposed = next((each.key for each in flag.variants if each.key == state.from_variant), flag.off)
        nobody = Exposure(state.rollout, state.run, None, None, state.allocation, 0)
        unit = self._context.unit64(state.unit)
        if unit is None:
            detail = f"the context has no unit of kind {shown(state.unit)}; serves {shown(unexposed)}"
            return Outcome(unexposed, Reason.NO_UNIT, rule, nobody), detail
        reach = None if self._is_out() else self._reach()
        if reach is None:
            detail = f"{self._why_not()}; serves {shown(unexposed)}"
            return Outcome(unexposed, Reason.ROLLOUT, rule, nobody), detail
        number = bucket(state.salt, unit.decode())
        exposed = number < reach.share_ppm
        arm = Arm.CANDIDATE if exposed else Arm.CONTROL
        key = shown(self._context.units[state.unit])
        told = f"bucket {number} of {state.unit} {key} is {'below' if exposed else 'not below'} {reach.share_ppm}"
        self._step("exposed", exposed, f"{told}: {arm.value}")
        variant = state.to_variant if exposed else unexposed
        exposure = nobody._replace(stage=reach.stage, arm=arm, reach_ppm=reach.share_ppm)
        detail = f"run {state.run} of rollout {state.rollout}: {arm.value}; serves {shown(variant)}"
        return Outcome(variant, Reason.ROLLOUT, rule, exposure), detail

    def _why_not(self) -> str:
        state = self._state
        if not state.reaches:
            return f"rollout {state.rollout} exposes nobody"
        return f"run {state.run} of rollout {state.rollout} does not reach this context"

    def _is_out(self) -> bool:
        if not self._state.reaches:
            return False
        out = False
        for index, condition in enumerate(self._state.never):
            label = f"rollout never[{index}]"
            if out:
                self._steps.append(Step(1, label, "", ""))
                continue
            held = self._condition(condition, label, _NEVER)
            out = held is not False
        return out

    def _reach(self) -> Reach | None:
        """Ask every stage entered, in their order; the largest share counts, and of equal ones the first."""
        found: Reach | None = None
        for reach in self._state.reaches:
            label, share = f"stage {reach.stage}", f"share {percent(reach.share_ppm)}"
            if reach.audience is None:
                self._step(label, True, f"everyone, {share}")
                held: bool | None = True
            else:
                held = self._condition(reach.audience, label, dict.fromkeys((True, False, None), share))
            if held is True and reach.share_ppm > (found.share_ppm if found is not None else 0):
                found = reach
        if self._state.reaches:
            told = "no stage entered" if found is None else f"{percent(found.share_ppm)} by stage {found.stage}"
            self._step("reach", found is not None, told)
        return found

    def _condition(self, condition: Condition, label: str, told: Mapping[bool | None, str]) -> bool | None:
        at = len(self._steps)
        held = self._conditions.walk(condition, 2)
        self._steps.insert(at, Step(1, label, result_word(held), told[held]))
        return held

    def _step(self, label: str, result: bool, detail: str) -> None:  # noqa: FBT001 - a step's result
        self._steps.append(Step(1, label, result_word(result), detail))
