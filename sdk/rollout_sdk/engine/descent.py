"""Two decision lists of one flag compared: does the later one only keep variants or give safe ones?

Safe is `off`, and for whomever a rollout answered its `from`. A pair (i, j) stands for the contexts that neither the
first i old steps nor the first j new steps took. All of them are at (0, 0); none is left once either list is through.
An edge leads from a pair to a next one when everybody who is not at the next pair is proven to keep the variant or to
get a safe one. So a path from (0, 0) to an end is a proof.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from rollout_sdk.engine.steps import is_safe, only_gives

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_sdk.engine.steps import Guards, Step

CHECKS_MAX = 100_000
"""Guards compared before giving up. Equal lists need two a step, ordinary edits a few more."""


class Descent:
    """One comparison; `why` says, once `is_proven` has answered False, where it stands."""

    def __init__(self, old: Sequence[Step], new: Sequence[Step], off: str, guards: Guards) -> None:
        self._old = old
        self._new = new
        self._off = off
        self._safe_variants = {step.safe: frozenset({off, step.safe or off}) for step in old}
        self._guards = guards
        self._checks = 0
        self.why = ""

    def is_proven(self) -> bool:
        """Whether a path exists. Depth first and lazy, so that equal lists cost one walk down the diagonal."""
        furthest = (0, 0)
        seen = {furthest}
        walk = [self._edges(*furthest)]
        while walk and self._checks < CHECKS_MAX:
            pair = next(walk[-1], None)
            if pair is None:
                walk.pop()
            elif pair not in seen:
                if pair[0] == len(self._old) or pair[1] == len(self._new):
                    return True
                seen.add(pair)
                furthest = max(furthest, pair, key=min)
                walk.append(self._edges(*pair))
        self.why = self._explain(self._old[furthest[0]], self._new[furthest[1]])
        return False

    def _edges(self, i: int, j: int) -> Iterator[tuple[int, int]]:
        old, new = self._old[i], self._new[j]
        if (
            self._agrees(new, old)
            and (self._covers(new, old) or self._keeps(old, j + 1))
            and (only_gives(new.answer, self._off) or self._covers(old, new) or self._kept(new, i + 1))
        ):
            yield i + 1, j + 1
        if self._may_insert(i, j):
            yield i, j + 1
        if self._is_empty(old, i, j) or self._keeps(old, j):
            yield i + 1, j

    def _may_insert(self, i: int, j: int) -> bool:
        """Whether everybody whom the new step takes keeps the variant or gets a safe one."""
        old, new = self._old[i], self._new[j]
        if only_gives(new.answer, self._off) or self._is_empty(new, i, j):
            return True
        return (is_safe(new.answer, old.answer, self._safe(old)) and self._covers(old, new)) or self._kept(new, i)

    def _is_empty(self, step: Step, i: int, j: int) -> bool:
        """Whether an earlier step of either list already took everybody whom this one takes."""
        return any(self._covers(earlier, step) for earlier in (*self._old[:i], *self._new[:j]))

    def _keeps(self, old: Step, j: int) -> bool:
        """Whether the new steps from j on give whomever the old step takes its variant or a safe one."""
        safe = takewhile(lambda new: self._agrees(new, old), self._new[j:])
        return self._ends_safely(old, list(safe), len(self._new) - j)

    def _kept(self, new: Step, i: int) -> bool:
        """Whether the old steps from i on gave whomever the new step takes what it gives, or it gives a safe one."""
        safe = takewhile(lambda old: self._agrees(new, old), self._old[i:])
        return self._ends_safely(new, list(safe), len(self._old) - i)

    def _ends_safely(self, step: Step, safe: list[Step], count: int) -> bool:
        """Whether all steps of a list are safe, or those that are take everybody first whom `step` takes."""
        return len(safe) == count or any(self._covers(wide, step) for wide in safe)

    def _agrees(self, new: Step, old: Step) -> bool:
        """Whether nobody whom both take gets from the new step what neither the old one gave nor is safe."""
        return is_safe(new.answer, old.answer, self._safe(old)) or self._guards.disjoint(new.guard, old.guard)

    def _safe(self, old: Step) -> frozenset[str]:
        """What may be given afterwards to whomever this old step answered."""
        return self._safe_variants[old.safe]

    def _covers(self, wide: Step, narrow: Step) -> bool:
        self._checks += 1
        return self._checks < CHECKS_MAX and self._guards.covers(wide.guard, narrow.guard)

    def _explain(self, old: Step, new: Step) -> str:
        safe = " or ".join(f'"{variant}"' for variant in sorted(self._safe(old)))
        if not self._agrees(new, old):
            return f"{new.label} may give those whom {old.label} answered another variant, not {safe}"
        if not (only_gives(new.answer, self._off) or self._covers(old, new)):
            return f"{new.label} may take contexts that {old.label} did not take"
        return f"those whom {old.label} answered may get another variant than {safe} from what comes after it"
