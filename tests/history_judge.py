"""What many callers were told by many replicas, held against the one log that all of it went into.

Every written change names its revision, so the order of writes is given and need not be searched for. Answers that
wrote nothing ("another version", "it is so already") may lie anywhere while they were asked for. To take such an answer
as soon as it holds never spoils another order, since it changes nothing: so the judge needs no search, leaves nothing
undecided that the log can tell, and takes time in proportion to the history. `tests/properties/test_history_judge.py`
holds it against every order there is.

Moments are numbers that only rise, given out by one clock as calls begin and end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from math import inf

GAPLESS = "the log has no gap"
ONCE = "one key is written once"
ASKED = "the log holds what was asked for"
KEPT = "what was acknowledged is in the log"
NOT_WRITTEN = "what was refused is not in the log"
REPEATED = "a repeat answers as the first"
COMPARED = "a change is written upon the version that it names"
ORDERED = "one order of writes explains all answers"
SHOWN = "a read shows its revision"
NOT_AHEAD = "nobody reads what nobody has asked for yet"
FORWARD = "a replica never goes back"
OWN = "a replica shows what it acknowledged"
SDK_FORWARD = "an SDK never goes back"
SDK_DECIDES = "an SDK decides as its revision says"
ONE_EPOCH = "a history that lost nothing keeps its epoch"


class Verb(Enum):
    """What is done to a flag."""

    SET = "set"
    KILL = "kill"
    UNKILL = "unkill"


class Outcome(Enum):
    """What the caller knows in the end."""

    WRITTEN = "written"
    MOVED = "moved"
    """Another version stands than the one named."""
    UNCHANGED = "unchanged"
    """It is so already."""
    REFUSED = "refused"
    """Nothing was written; it says nothing of what stands."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Standing:
    """A flag as it stands. Version 0: there is none."""

    version: int = 0
    value: int = 0
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One change that was asked for, with all its repeats until the outcome was known.

    Attributes:
        key: of idempotency.
        expected: the version that a SET names.
        value: that a SET gives.
        replica: that gave the last answer.
        asked, answered: moments of the first call and of the last answer.
        told: revision and digest of each answer that named an entry.
    """

    key: str
    verb: Verb
    flag: str
    replica: str
    asked: int
    answered: int
    outcome: Outcome
    expected: int = 0
    value: int = 0
    told: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What a replica answered; the value is None where the answer does not tell it."""

    replica: str
    asked: int
    answered: int
    epoch: str
    revision: int
    found: Mapping[str, tuple[int, int | None, bool]]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an SDK held when it was looked at, and what it served: 0 for a killed flag, else the flag's value."""

    sdk: str
    epoch: str
    revision: int
    served: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of the log; `flags` are those that it changed, as they stand after it."""

    revision: int
    digest: bytes
    key: str
    flags: Mapping[str, Standing]


@dataclass
class History:
    """Everything that was seen from outside."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that was broken, and by what."""

    law: str
    what: str

    def __str__(self) -> str:
        return f"{self.law}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found.

    Attributes:
        undecided: keys of writes of which neither caller nor log can tell what became.
        settled: how many unknown outcomes the log decided.
    """

    violations: tuple[Violation, ...]
    undecided: tuple[str, ...]
    settled: int


def judge(history: History, log: Sequence[Logged]) -> Verdict:
    """Hold a whole history against the log that it ended in."""
    is_whole = [one.revision for one in log] == list(range(1, len(log) + 1))
    unknown = [one.key for one in history.writes if one.outcome is Outcome.UNKNOWN]
    present = {one.key for one in log}
    undecided = () if is_whole else tuple(key for key in unknown if key not in present)
    found = (
        *_judge_log(history, log),
        *_judge_order(history.writes, log),
        *_judge_reads(history, log),
        *_judge_sdks(history.sightings, _Past(log)),
        *_judge_epochs(history),
    )
    return Verdict(found, undecided, len(unknown) - len(undecided))


class _Past:
    """Every flag as it stood at every revision."""

    def __init__(self, log: Iterable[Logged]) -> None:
        self.head = 0
        self._at: dict[str, list[int]] = {}
        self._standing: dict[str, list[Standing]] = {}
        for entry in log:
            self.head = entry.revision
            for flag, standing in entry.flags.items():
                self._at.setdefault(flag, []).append(entry.revision)
                self._standing.setdefault(flag, []).append(standing)

    def at(self, flag: str, revision: int) -> Standing:
        place = bisect_right(self._at.get(flag, []), revision)
        return self._standing[flag][place - 1] if place else Standing()


# ------------------------------------------------------------------------------------------------ what is in the log


def _judge_log(history: History, log: Sequence[Logged]) -> Iterator[Violation]:
    for before, after in pairwise([0, *(one.revision for one in log)]):
        if after != before + 1:
            yield Violation(GAPLESS, f"revision {after} follows {before}")
    counted = Counter(one.key for one in log if one.key)
    yield from (Violation(ONCE, f"{key} is there {count} times") for key, count in counted.items() if count > 1)
    entries, writes = {one.key: one for one in log if one.key}, {one.key: one for one in history.writes}
    for entry in log:
        if entry.flags:
            yield from _judge_entry(entry, writes.get(entry.key))
    for write in history.writes:
        yield from _judge_told(write, entries.get(write.key))


def _judge_entry(entry: Logged, write: Write | None) -> Iterator[Violation]:
    if write is None:
        yield Violation(ASKED, f"nobody asked for revision {entry.revision}, key {entry.key!r}")
        return
    standing = entry.flags.get(write.flag)
    is_done = standing is not None and standing.version == entry.revision
    match write.verb:
        case Verb.SET:
            is_done = is_done and standing is not None and standing.value == write.value
        case Verb.KILL | Verb.UNKILL:
            is_done = is_done and standing is not None and standing.killed is (write.verb is Verb.KILL)
    if not is_done or len(entry.flags) != 1:
        yield Violation(ASKED, f"revision {entry.revision} holds {dict(entry.flags)} for {write}")


def _judge_told(write: Write, entry: Logged | None) -> Iterator[Violation]:
    if len(set(write.told)) > 1:
        yield Violation(REPEATED, f"{write.key} was answered {write.told}")
    if write.outcome is Outcome.WRITTEN:
        if entry is None:
            yield Violation(KEPT, f"{write.key} was acknowledged as revision {write.told[0][0]}")
        elif (entry.revision, entry.digest) not in write.told:
            yield Violation(KEPT, f"{write.key} was acknowledged as {write.told[0]}, and is {entry}")
    elif write.outcome is not Outcome.UNKNOWN and entry is not None:
        yield Violation(NOT_WRITTEN, f"{write.key} was {write.outcome.value}, and is revision {entry.revision}")


# -------------------------------------------------------------------------------------------------------- one order


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


def _judge_order(writes: Sequence[Write], log: Sequence[Logged]) -> Iterator[Violation]:
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


# ------------------------------------------------------------------------------------------------------------- reads


def _judge_reads(history: History, log: Sequence[Logged]) -> Iterator[Violation]:
    past = _Past(log)
    asked = {one.key: one.asked for one in history.writes}
    began = [asked.get(one.key, 0) for one in log]
    for number in range(1, len(began)):
        began[number] = max(began[number], began[number - 1])
    for read in history.reads:
        if read.revision > past.head or (read.revision and began[read.revision - 1] > read.answered):
            yield Violation(NOT_AHEAD, f"{read}")
            continue
        for flag, (version, value, killed) in read.found.items():
            was = past.at(flag, read.revision)
            if (version, killed) != (was.version, was.killed) or value not in {None, was.value}:
                yield Violation(SHOWN, f"{flag} was {was}: {read}")
    for replica in sorted({one.replica for one in history.reads}):
        reads = sorted((one for one in history.reads if one.replica == replica), key=lambda one: one.asked)
        yield from _judge_rising(FORWARD, reads, [(one.answered, one.revision) for one in reads])
        own = [
            (one.answered, one.told[-1][0])
            for one in history.writes
            if one.replica == replica and one.outcome is Outcome.WRITTEN
        ]
        yield from _judge_rising(OWN, reads, own)


def _judge_rising(law: str, reads: Iterable[Read], known: Iterable[tuple[int, int]]) -> Iterator[Violation]:
    """Hold reads, in the order they were asked, against revisions that were known at a moment."""
    left, least = sorted(known, reverse=True), 0
    for read in reads:
        while left and left[-1][0] < read.asked:
            least = max(least, left.pop()[1])
        if read.revision < least:
            yield Violation(law, f"revision {least} was known before: {read}")


def _judge_sdks(sightings: Iterable[Sighting], past: _Past) -> Iterator[Violation]:
    newest: dict[tuple[str, str], int] = {}
    for one in sightings:
        before = newest.get((one.sdk, one.epoch), 0)
        if one.revision < before:
            yield Violation(SDK_FORWARD, f"{one} after revision {before}")
        newest[one.sdk, one.epoch] = max(before, one.revision)
        for flag, served in one.served.items():
            was = past.at(flag, one.revision)
            if served != (0 if was.killed else was.value):
                yield Violation(SDK_DECIDES, f"{flag} was {was}: {one}")


def _judge_epochs(history: History) -> Iterator[Violation]:
    epochs = {one.epoch for one in history.reads} | {one.epoch for one in history.sightings}
    if len(epochs) > 1:
        yield Violation(ONE_EPOCH, f"{sorted(epochs)} were seen")
