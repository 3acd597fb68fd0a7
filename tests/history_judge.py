"""What many callers were told by many replicas, held against the one log that all of it went into.

Every written change names its revision, so the order of writes is given and need not be searched for. Answers that
wrote nothing ("another version", "it is so already") may lie anywhere while they were asked for. To take such an answer
as soon as it holds never spoils another order, since it changes nothing: so the judge needs no search, leaves nothing
undecided that the log can tell, and takes time in proportion to the history. `tests/properties/test_history_judge.py`
holds it against every order there is.

A store may have failed over to a copy that lacked its last entries. What it held when it died is then a dead branch:
no acknowledgement may rest on one, and what was read of one must be as it says.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.history_laws import (
    ASKED,
    FORWARD,
    GAPLESS,
    KEPT,
    NOT_AHEAD,
    NOT_WRITTEN,
    ONCE,
    ONE_BRANCH,
    ONE_EPOCH,
    OWN,
    REPEATED,
    SDK_DECIDES,
    SDK_FORWARD,
    SHOWN,
    Violation,
)
from tests.history_order import judge_order
from tests.replica_history import Branch, History, Logged, Outcome, Read, Sighting, Standing, Verb, Write


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


def judge(history: History, log: Sequence[Logged], dead: Sequence[Branch] = (), epoch: str = "") -> Verdict:
    """Hold a whole history against the log that it ended in.

    Args:
        history: what everybody asked and was told.
        log: what the store holds in the end.
        dead: what the stores before it held when they died, in that order.
        epoch: the name of the history in the end, where a store died.
    """
    is_whole = [one.revision for one in log] == list(range(1, len(log) + 1))
    unknown = [one.key for one in history.writes if one.outcome is Outcome.UNKNOWN]
    present = {one.key for one in log}
    undecided = () if is_whole else tuple(key for key in unknown if key not in present)
    logs = [log, *(one.log for one in dead)]
    excused = _moved_by_the_dead(history.writes, log, dead)
    found = (
        *_judge_log(history, log),
        *judge_order([one for one in history.writes if one.key not in excused], log),
        *_judge_reads(history, logs),
        *judge_sightings(history.sightings, logs),
        *(_judge_branches(history, [*dead, Branch(epoch, log)]) if dead else _judge_epochs(history)),
    )
    return Verdict(found, undecided, len(unknown) - len(undecided))


def lost_of(branch: Sequence[Logged], log: Sequence[Logged]) -> Sequence[Logged]:
    """Return the entries of a branch that are not in the log."""
    kept = {(one.revision, one.digest) for one in log}
    return [one for one in branch if (one.revision, one.digest) not in kept]


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


# ------------------------------------------------------------------------------------------------------------- reads


def _judge_reads(history: History, logs: Sequence[Sequence[Logged]]) -> Iterator[Violation]:
    asked = {one.key: one.asked for one in history.writes}
    branches = [_Shown(log, asked) for log in logs]
    for read in history.reads:
        yield from next((one for one in branches if one.has(read)), branches[0]).judge(read)
    for replica in sorted({one.replica for one in history.reads}):
        reads = sorted((one for one in history.reads if one.replica == replica), key=lambda one: one.asked)
        for epoch in sorted({one.epoch for one in reads}):
            same = [one for one in reads if one.epoch == epoch]
            yield from _judge_rising(FORWARD, same, [(one.answered, one.revision) for one in same])
        own = [
            (one.answered, one.told[-1][0])
            for one in history.writes
            if one.replica == replica and one.outcome is Outcome.WRITTEN
        ]
        yield from _judge_rising(OWN, reads, own)


class _Shown:
    """One log, and what could be read of it when."""

    def __init__(self, log: Sequence[Logged], asked: Mapping[str, int]) -> None:
        self._past = _Past(log)
        self._digests = [b"", *(one.digest for one in log)]
        self._began = [asked.get(one.key, 0) for one in log]
        for number in range(1, len(self._began)):
            self._began[number] = max(self._began[number], self._began[number - 1])

    def has(self, read: Read) -> bool:
        """Whether this is the log that was read."""
        return read.revision <= self._past.head and read.digest in {b"", self._digests[read.revision]}

    def judge(self, read: Read) -> Iterator[Violation]:
        if not self.has(read) or (read.revision and self._began[read.revision - 1] > read.answered):
            yield Violation(NOT_AHEAD, f"{read}")
            return
        for flag, (version, value, killed) in read.found.items():
            was = self._past.at(flag, read.revision)
            if (version, killed) != (was.version, was.killed) or value not in {None, was.value}:
                yield Violation(SHOWN, f"{flag} was {was}: {read}")


def _judge_rising(law: str, reads: Iterable[Read], known: Iterable[tuple[int, int]]) -> Iterator[Violation]:
    """Hold reads, in the order they were asked, against revisions that were known at a moment."""
    left, least = sorted(known, reverse=True), 0
    for read in reads:
        while left and left[-1][0] < read.asked:
            least = max(least, left.pop()[1])
        if read.revision < least:
            yield Violation(law, f"revision {least} was known before: {read}")


def judge_sightings(sightings: Iterable[Sighting], logs: Sequence[Sequence[Logged]]) -> Iterator[Violation]:
    """Hold what SDKs served against the logs, of which any may be the one that they followed."""
    newest: dict[tuple[str, str], int] = {}
    pasts = [_Past(log) for log in logs]
    for one in sightings:
        before = newest.get((one.sdk, one.epoch), 0)
        if one.revision < before:
            yield Violation(SDK_FORWARD, f"{one} after revision {before}")
        newest[one.sdk, one.epoch] = max(before, one.revision)
        if not any(past.head >= one.revision and _is_served(one, past) for past in pasts):
            yield Violation(SDK_DECIDES, f"{one}, and not {[pasts[0].at(flag, one.revision) for flag in one.served]}")


def _is_served(sighting: Sighting, past: _Past) -> bool:
    standing = {flag: past.at(flag, sighting.revision) for flag in sighting.served}
    return all(
        value == (0 if standing[flag].killed else standing[flag].value) for flag, value in sighting.served.items()
    )


def _judge_epochs(history: History) -> Iterator[Violation]:
    epochs = {one.epoch for one in history.reads} | {one.epoch for one in history.sightings}
    if len(epochs) > 1:
        yield Violation(ONE_EPOCH, f"{sorted(epochs)} were seen")


# ---------------------------------------------------------------------------------------------------------- branches


def _judge_branches(history: History, branches: Sequence[Branch]) -> Iterator[Violation]:
    """A store that lost what its predecessor held has another name, given once; no other has."""
    known = {one.epoch for one in branches}
    seen = {one.epoch for one in history.reads} | {one.epoch for one in history.sightings}
    if seen - known:
        yield Violation(ONE_EPOCH, f"{sorted(seen - known)} were seen, which no store had in the end")
    for number, (before, after) in enumerate(pairwise(branches), start=1):
        lost = lost_of(before.log, after.log)
        if before.epoch != after.epoch and not lost:
            yield Violation(ONE_EPOCH, f"failover {number} lost nothing, and {before.epoch} became {after.epoch}")
        shown = {(one.revision, one.digest) for one in history.reads if one.epoch == before.epoch}
        if before.epoch == after.epoch and any((one.revision, one.digest) in shown for one in lost):
            yield Violation(ONE_BRANCH, f"failover {number} lost what was read, and is still {after.epoch}")


def _moved_by_the_dead(writes: Sequence[Write], log: Sequence[Logged], dead: Iterable[Branch]) -> set[str]:
    """Return the keys of refusals ("another version") that lost entries explain.

    A refusal says how things stood where it was asked, and nobody acts on it: it may show what does not survive, as a
    read may. An acknowledgement may not, and "it is so already" is one.
    """
    asked = {one.key: one.asked for one in writes}
    lost = [entry for branch in dead for entry in lost_of(branch.log, log)]
    began = [(flag, asked.get(entry.key, 0)) for entry in lost for flag in entry.flags]
    refused = [one for one in writes if one.outcome is Outcome.MOVED]
    return {one.key for one in refused if any(flag == one.flag and at <= one.answered for flag, at in began)}
