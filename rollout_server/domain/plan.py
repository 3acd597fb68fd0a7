"""The exact preview of a change: what it does to each resource, what depends on that, and whether it shrinks.

Pure: the same state and documents give the same plan, byte for byte; a saved plan is checked by making it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.problems import Problem
from rollout_sdk.engine.shrinks import Proof, proof
from rollout_sdk.engine.validate import validate_change
from rollout_server.domain.diff import Operation, ResourceChange, change_of, is_same_document
from rollout_server.domain.files.canonical import canonical_json
from rollout_server.domain.files.writer import write
from rollout_server.domain.graph import Graph, names_of
from rollout_server.domain.journal import Change, State
from rollout_server.domain.resources import (
    PLANNED,
    FlagSpec,
    FlagStatus,
    Kind,
    ResourceId,
    RolloutStatus,
    first_status,
)
from rollout_server.domain.rollouts import RolloutSpec
from rollout_server.domain.ruleset import ruleset_after, ruleset_of
from rollout_server.domain.stamps import facts, stamp
from rollout_server.domain.validation import Scope, validate_resources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from rollout_sdk.engine.model import Json, Ruleset
    from rollout_server.domain.resources import Resource

_NAMED_MAX = 5
_LOST = frozenset(f"unknown_{kind.value.lower()}" for kind in PLANNED)
_DECIDING = frozenset({Kind.FLAG, Kind.COHORT, Kind.ROLLOUT})


@dataclass(frozen=True, slots=True)
class Dependent:
    """Something the change does not name but touches.

    Attributes:
        id: what is touched.
        because: "flag/new-cart requires flag/checkout-v2".
    """

    id: ResourceId
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set of documents would do to a state.

    Attributes:
        changes: every document's resource and every deleted one, those that stay the same included; by kind and key.
        dependents: what names what changes, at any remove, and is not changed itself.
        problems: empty, or the plan cannot be applied.
        reads: version of all that the plan rests on; 0 for what does not exist.
        after: the state as the next entry would leave it, but for its position.
        rulesets: before and after; flags, cohorts and rollout states that stay are the same objects in both.
        proof: whether it shrinks; not tried, and so not proven, where there are problems.
        hash: SHA-256 over changes and the stamps of all reads, lowercase hex; another one where anything read has
            moved, but for how far the run of a rollout is (`domain.stamps`).
    """

    changes: tuple[ResourceChange, ...]
    dependents: tuple[Dependent, ...]
    problems: tuple[Problem, ...]
    reads: Mapping[ResourceId, int]
    after: State
    rulesets: tuple[Ruleset, Ruleset]
    proof: Proof
    hash: str

    @property
    def writes(self) -> tuple[Change, ...]:
        """What to commit; empty when nothing changes."""
        return tuple(
            Change(change.id, self.after.resources.get(change.id))
            for change in self.changes
            if change.operation is not Operation.UNCHANGED
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """Keys of the flags whose decisions may differ: those that change, and those that depend on a change.

        A change of what decides nothing (a metric, a pipeline, which runs have copied, a policy) touches no flag.
        """
        touched = {change.id for change in self.changes if change.operation is not Operation.UNCHANGED}
        if not any(id_.kind in _DECIDING for id_ in touched):
            return ()
        touched |= {dependent.id for dependent in self.dependents}
        return tuple(sorted({id_.key for id_ in touched if id_.kind is Kind.FLAG}))

    def grown(self, by: Proof | None = None) -> frozenset[ResourceId]:
        """Return the flags that are not proven to shrink: by the plan's own proof, or by another one of the same."""
        # Each sentence begins with the flag it is about: "flag/checkout-v2: it is new".
        named = {line.partition(":")[0] for line in (by or self.proof).growth}
        ids = {change.id for change in self.changes} | {dependent.id for dependent in self.dependents}
        return frozenset(id_ for id_ in ids if str(id_) in named)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants the environment to hold.

    Attributes:
        documents: as people write them, without status; each id once.
        prune: delete everything that people could have written and no document holds.
        delete: delete these too; those that do not exist are passed over.
        origins: where each document was read, copied into problems.
        environments: all of the server, for documents that wait for another one; empty where they were compared with
            them before, or nobody knows.
    """

    documents: Sequence[Resource]
    prune: bool = False
    delete: frozenset[ResourceId] = frozenset()
    origins: Mapping[ResourceId, str] = field(default_factory=lambda: MappingProxyType({}))
    environments: Collection[str] = ()


def plan(before: State, wish: Wish, ruleset: Ruleset | None = None) -> Plan:
    """Work out everything that a change does. Total for documents that the files' reader made.

    Args:
        before: the state it starts from.
        wish: what is wanted.
        ruleset: of `before`, where it is at hand.
    """
    after, problems = _state_after(before, wish)
    named = {resource.id for resource in wish.documents} | _gone(before, after)
    changed = {id_ for id_ in named if before.resources.get(id_) is not after.resources.get(id_)}
    ruleset_before = ruleset if ruleset is not None else ruleset_of(before)
    rulesets = ruleset_before, ruleset_after(ruleset_before, before, after, changed, None)
    graph = Graph(before, after)
    problems += _problems(rulesets[1], changed, graph, (before, after), wish.environments)
    policies = {id_ for id_ in before.resources if id_.kind is Kind.POLICY}  # what they demand was checked
    reads = _reads(before, graph.ground(changed, named) | policies)
    changes = tuple(
        change_of(before.resources.get(id_), after.resources.get(id_))
        if id_ in changed
        else _unchanged(id_, before.resources[id_].version)
        for id_ in sorted(named, key=str)
    )
    return Plan(
        changes=changes,
        dependents=tuple(Dependent(id_, because) for id_, because in graph.dependents(changed)),
        problems=_with_origins(problems, wish.origins),
        reads=MappingProxyType(reads),
        after=after,
        rulesets=rulesets,
        proof=Proof(proven=False, growth=()) if problems else proof(*rulesets),
        hash=_hash(before, after, changed, reads),
    )


def _state_after(before: State, wish: Wish) -> tuple[State, list[Problem]]:
    """Write specs, keep statuses. What stays the same stays the same object."""
    resources = dict(before.resources)
    problems: list[Problem] = []
    version = before.position.revision + 1
    wanted: set[ResourceId] = set()
    for document in wish.documents:
        known = before.resources.get(document.id)
        if document.id in wanted:
            problems.append(Problem(str(document.id), "", "twice", "it is given twice", "keep one of them"))
        wanted.add(document.id)
        problem = _salt_problem(document, known)
        if problem is not None:
            problems.append(problem)
        if known is None:
            resources[document.id] = replace(document, status=first_status(document), version=version)
        elif not is_same_document(known, document):
            spec = known.spec if is_same_document(known, replace(document, metadata=known.metadata)) else document.spec
            resources[document.id] = replace(known, metadata=document.metadata, spec=spec, version=version)
    for id_ in before.resources:
        if id_ not in wanted and (id_ in wish.delete or (wish.prune and id_.kind in PLANNED)):
            del resources[id_]
    return replace(before, resources=MappingProxyType(resources)), problems


def _salt_problem(document: Resource, known: Resource | None) -> Problem | None:
    spec, status = document.spec, known.status if known else None
    if not isinstance(spec, FlagSpec | RolloutSpec) or not isinstance(status, FlagStatus | RolloutStatus):
        return None
    if spec.salt in ("", status.salt):
        return None
    kind = document.kind.value.lower()
    message = f'the salt is "{status.salt}" since the {kind} was created; another one would reshuffle every share'
    hint = f"take salt out of the file, or make a new {kind}"
    return Problem(str(document.id), "spec.salt", "salt_change", message, hint)


def _gone(before: State, after: State) -> set[ResourceId]:
    return {id_ for id_ in before.resources if id_ not in after.resources}


def _problems(
    ruleset: Ruleset,
    changed: set[ResourceId],
    graph: Graph,
    states: tuple[State, State],
    environments: Collection[str],
) -> list[Problem]:
    """Validate what changed and what refers to it; a deletion that others stand on is told of what is deleted."""
    before, after = states
    flags, cohorts, rollouts = (
        {id_.key for id_ in changed if id_.kind is kind} for kind in (Kind.FLAG, Kind.COHORT, Kind.ROLLOUT)
    )
    found = list(validate_change(ruleset.flags, ruleset.cohorts, flags, cohorts, ruleset.rollouts, rollouts))
    created = {id_ for id_ in changed if id_ not in before.resources}
    scope = Scope(touched=graph.touched(changed), written=changed, created=created, environments=environments)
    found += validate_resources(after.resources, ruleset.cohorts, scope)
    named = {str(id_) for id_ in changed}
    problems = [problem for problem in found if problem.resource in named or problem.code not in _LOST]
    for id_ in sorted(_gone(before, after), key=str):
        status = before.resources[id_].status
        if isinstance(status, RolloutStatus) and status.is_active:
            message = f"run {status.runs} is under way, and would be forgotten with all whom it exposes"
            hint = f"`rollout rollback {id_.key}` first, or wait for its end"
            problems.append(Problem(str(id_), "", "under_way", message, hint))
        # The graph knows the references of both sides: one that this very change takes out holds nothing back.
        users = [
            str(user)
            for user in graph.users(id_)
            if user in after.resources and (user not in changed or id_ in set(names_of(after.resources[user])))
        ]
        if users:
            more = f" and {len(users) - _NAMED_MAX} more" if len(users) > _NAMED_MAX else ""
            verb = "refers" if len(users) == 1 else "refer"
            message = f"it cannot be deleted while {', '.join(users[:_NAMED_MAX])}{more} {verb} to it"
            problems.append(Problem(str(id_), "", "still_referenced", message, "take these references out first"))
    return problems


def _with_origins(problems: list[Problem], origins: Mapping[ResourceId, str]) -> tuple[Problem, ...]:
    places = {str(id_): origin for id_, origin in origins.items()}
    return tuple(replace(problem, origin=places.get(problem.resource, "")) for problem in problems)


def _unchanged(id_: ResourceId, version: int) -> ResourceChange:
    return ResourceChange(id_, Operation.UNCHANGED, version, version, ())


def _reads(before: State, ids: Iterable[ResourceId]) -> dict[ResourceId, int]:
    ordered = sorted(ids, key=str)
    return {id_: before.resources[id_].version if id_ in before.resources else 0 for id_ in ordered}


def _hash(before: State, after: State, changed: set[ResourceId], reads: Iterable[ResourceId]) -> str:
    """Cover the epoch too: after a restore, a version may stand for something else."""
    changes: dict[str, Json] = {}
    for id_ in sorted(changed, key=str):
        resource = after.resources.get(id_)
        changes[str(id_)] = None if resource is None else {**write(resource), "status": facts(resource)}
    ground: dict[str, Json] = {str(id_): stamp(before.resources.get(id_)) for id_ in reads}
    tree: dict[str, Json] = {"epoch": before.position.epoch, "changes": changes, "reads": ground}
    return sha256(canonical_json(tree)).hexdigest()
