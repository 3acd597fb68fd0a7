"""One order of writes that explains all answers: what `tests/history_judge.py` takes without a search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from tests.history_laws import COMPARED, ORDERED, Violation
from tests.replica_history import Logged, Outcome, Standing, Verb, Write


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that took effect, or was true, at one moment of an interval. Revision 0: it wrote nothing."""

    write: Write
    revision: int
    until: float

    def holds(self, flags: Mapping[str, Standing]) -> bool:
        now = flags.get(self.write.flag, Standing())
        match self.write.verb:
            case Verb.SET:
                return (now.version == self.write.expected) is bool(self.revision)
            case Verb.KILL | Verb.UNKILL:
                return (now.killed is (self.write.verb is Verb.KILL)) is not bool(self.revision)


def _steps(writes: Iterable[Write], log: Iterable[Logged]) -> Iterator[_Step]:
    """Yield what must lie in one order; who never got an answer has all the time there is, if the log has it."""
    entries = {one.key: one for one in log if one.key and one.flags}
    for write in writes:
        entry = entries.get(write.key)
        if entry is not None:
            until = write.answered if write.outcome is Outcome.WRITTEN else inf
            yield _Step(write, entry.revision, until)
        elif write.outcome in {Outcome.MOVED, Outcome.UNCHANGED}:
            yield _Step(write, 0, write.answered)


class _Walk:
    """A walk through the log that takes each answer as soon as it is true.

    Something may come next if nothing that is left had ended before it began.
    """

    def __init__(self, steps: Sequence[_Step]) -> None:
        self.flags: dict[str, Standing] = {}
        self._ends = sorted(steps, key=lambda one: -one.until)  # the last one ends first
        self._later = sorted((one for one in steps if not one.revision), key=lambda one: -one.write.asked)
        self._open: list[_Step] = []
        self._gone: set[str] = set()

    def first(self) -> _Step | None:
        """Return what ends first of all that is left."""
        while self._ends and self._ends[-1].write.key in self._gone:
            self._ends.pop()
        return self._ends[-1] if self._ends else None

    def take(self) -> list[_Step]:
        """Take every answer that may come now and is true; return those that may and are not."""
        self._open = [one for one in self._open if one.write.key not in self._gone and not self._is_taken(one)]
        while self._later:
            first = self.first()
            if first is not None and first.until < self._later[-1].write.asked:
                break
            step = self._later.pop()
            if step.write.key not in self._gone and not self._is_taken(step):
                self._open.append(step)
        return self._open

    def drop(self, step: _Step) -> None:
        """Go on without it."""
        self._gone.add(step.write.key)

    def _is_taken(self, step: _Step) -> bool:
        if step.holds(self.flags):
            self._gone.add(step.write.key)
            return True
        return False


def judge_order(writes: Sequence[Write], log: Sequence[Logged]) -> Iterator[Violation]:
    """Walk through the log, and hold every answer against it that must lie in its order."""
    steps = list(_steps(writes, log))
    walk = _Walk(steps)
    after = {one.revision: one.flags for one in log}
    for step in sorted((one for one in steps if one.revision), key=lambda one: one.revision):
        walk.take()
        while (first := walk.first()) is not None and first.until < step.write.asked:
            yield Violation(ORDERED, f"{first.write} ended before {step.write}, revision {step.revision}, began")
            walk.drop(first)
            walk.take()
        if not step.holds(walk.flags):
            yield Violation(
                COMPARED, f"revision {step.revision} by {step.write} upon {walk.flags.get(step.write.flag)}"
            )
        walk.drop(step)
        walk.flags |= after[step.revision]
    for step in walk.take():
        yield Violation(ORDERED, f"{step.write} was never so")
