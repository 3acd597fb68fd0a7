"""Who must agree before a set of changes is applied (docs/adr/0016). Pure; asks only what the state before demands.

What is asked of whom:

- A change that is proven to shrink asks nobody. Proofs are made with every kill lifted: what a kill hides today is
  exposed by `unkill` tomorrow, which no policy sees.
- A flag or cohort that grows asks whom its kind names. Where a flag grows because of something else (its cohort, its
  prerequisite, a rollout), those whom `Flag` names are asked all the same.
- Kinds that decide nothing by themselves have no proof. A new freeze, another person in charge, and one more `never` of
  a rollout shrink; every other change of them asks.
- A policy that is edited or deleted asks whom `Policy` names; where no policy names that kind, everybody who would be
  asked for anything through the old one. So no group loses its say without its own consent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.references import reached
from rollout_sdk.engine.sameness import same
from rollout_sdk.engine.shrinks import proof
from rollout_server.domain.changes import Demand, voice
from rollout_server.domain.diff import Operation
from rollout_server.domain.graph import groups_of, names_of
from rollout_server.domain.resources import Kind
from rollout_server.domain.rollouts import Approval, FreezeSpec, PipelineSpec, PolicySpec, RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from rollout_server.domain.journal import State
    from rollout_server.domain.plan import Plan
    from rollout_server.domain.resources import Resource, ResourceId, Spec

_NAMED_MAX = 5
_PROVEN_BY_RULESET = frozenset({Kind.FLAG, Kind.COHORT})
_NEEDS_PROOF = _PROVEN_BY_RULESET | {Kind.ROLLOUT}

Rules = dict[Kind, list[tuple[str, Approval]]]
"""Kind to the policies that speak of it, each with whom it asks."""


def demands(before: State, planned: Plan) -> tuple[Demand, ...]:
    """Return who must agree; nobody where nothing grows, or where no policy asks.

    Args:
        before: the state that was planned on; its policies count, not those that the plan would write.
        planned: without problems.

    Returns:
        One demand for each group, the largest count that is asked of it, in order of name.
    """
    policies = {id_.key: one.spec for id_, one in before.resources.items() if isinstance(one.spec, PolicySpec)}
    rules = _rules(policies)
    changed = [change.id for change in planned.changes if change.operation is not Operation.UNCHANGED]
    asked: dict[tuple[str, Approval, Kind], list[ResourceId]] = {}

    def ask(policy: str, approval: Approval, kind: Kind, id_: ResourceId) -> None:
        asked.setdefault((policy, approval, kind), []).append(id_)

    grown = _grown(planned) if _NEEDS_PROOF & rules.keys() else frozenset()
    blamed = _blamed(before, planned.after, grown) if grown else set()
    freezing = _freezing_tags(before)
    for id_ in changed:
        old, new = before.resources.get(id_), planned.after.resources.get(id_)
        if not _shrinks(id_, old, new, is_blamed=id_ in blamed, freezing=freezing):
            for policy, approval in rules.get(id_.kind, ()):
                ask(policy, approval, id_.kind, id_)
            if id_.kind is Kind.POLICY and Kind.POLICY not in rules and old is not None:
                for approval in _through(id_.key, policies, before):
                    ask(id_.key, approval, Kind.POLICY, id_)
    for id_ in sorted(grown - set(changed), key=str):
        for policy, approval in rules.get(Kind.FLAG, ()):
            ask(policy, approval, Kind.FLAG, id_)
    return _merged(asked, _people(policies))


def missing(asked: Iterable[Demand], approvers: Iterable[str], author: str) -> tuple[Demand, ...]:
    """Return what is still asked for: each demand with the number that lacks and the people who may still give it.

    A person counts once in each group, whatever tokens they hold; the author never does.
    """
    voices = {voice(person) for person in approvers} - {voice(author)}
    lacking = []
    for demand in asked:
        able = {voice(person): person for person in demand.people if voice(person) != voice(author)}
        count = demand.count - len(able.keys() & voices)
        if count > 0:
            people = tuple(person for key, person in able.items() if key not in voices)
            lacking.append(replace(demand, count=count, people=people))
    return tuple(lacking)


def is_asked(asked: Iterable[Demand], person: str) -> bool:
    """Whether the person is in one of the groups that are asked."""
    return any(voice(person) == voice(one) for demand in asked for one in demand.people)


def _rules(policies: Mapping[str, PolicySpec]) -> Rules:
    rules: Rules = {}
    for key in sorted(policies):
        for kind, approval in policies[key].approvals:
            rules.setdefault(Kind(kind), []).append((key, approval))
    return rules


def _people(policies: Mapping[str, PolicySpec]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key in sorted(policies):
        for name, people in policies[key].groups:
            found[name] = (*found.get(name, ()), *people)
    return found


def _grown(planned: Plan) -> frozenset[ResourceId]:
    """Flags that are not proven to shrink, were no flag killed."""
    before, after = planned.rulesets
    if any(state.killed for ruleset in (before, after) for state in ruleset.states.values()):
        return planned.grown(proof(replace(before, states={}), replace(after, states={})))
    return planned.grown()


def _blamed(before: State, after: State, grown: Collection[ResourceId]) -> set[ResourceId]:
    """Return the flags that grow, and all that they name at any remove, on either side."""
    edges: dict[ResourceId, set[ResourceId]] = {}
    for state in (before, after):
        for id_, resource in state.resources.items():
            edges.setdefault(id_, set()).update(names_of(resource))
    return set(reached(grown, edges))


def _freezing_tags(before: State) -> frozenset[str]:
    specs = (one.spec for one in before.resources.values())
    return frozenset(tag for spec in specs if isinstance(spec, FreezeSpec) for tag in spec.tags)


def _shrinks(
    id_: ResourceId, old: Resource | None, new: Resource | None, *, is_blamed: bool, freezing: frozenset[str]
) -> bool:
    """Whether a change of one resource is proven to expose nobody to anything, now or by what it allows."""
    if id_.kind in _PROVEN_BY_RULESET:
        # A flag without the tag of a freeze is no longer frozen.
        lost = set(old.metadata.tags) - set(new.metadata.tags) if old and new else set()
        return not is_blamed and freezing.isdisjoint(lost)
    if old is None:
        return id_.kind is Kind.FREEZE
    if new is None:
        return id_.kind is Kind.ROLLOUT and not is_blamed
    if same(old.spec, new.spec):
        return True
    return _is_narrower(old.spec, new.spec) and not is_blamed


def _is_narrower(old: Spec, new: Spec) -> bool:
    """Whether all that happens to a rollout is that more units never get its variant, however far it goes."""
    if not isinstance(old, RolloutSpec) or not isinstance(new, RolloutSpec):
        return False
    are_kept = all(any(same(one, other) for other in new.never) for one in old.never)
    return are_kept and same(replace(old, never=()), replace(new, never=()))


def _through(key: str, policies: Mapping[str, PolicySpec], before: State) -> Iterator[Approval]:
    """Yield every approval that somebody is asked for because of this policy: by its rules, or by its groups."""
    yield from (approval for _, approval in policies[key].approvals)
    groups = {name for name, _ in policies[key].groups}
    for resource in before.resources.values():
        if groups.isdisjoint(groups_of(resource)):
            continue
        if isinstance(resource.spec, PolicySpec):
            yield from (approval for _, approval in resource.spec.approvals if approval.group in groups)
        elif isinstance(resource.spec, PipelineSpec):
            exits = (stage.exit.approval for stage in resource.spec.stages)
            yield from (approval for approval in exits if approval is not None and approval.group in groups)


def _merged(
    asked: Mapping[tuple[str, Approval, Kind], list[ResourceId]], people: Mapping[str, tuple[str, ...]]
) -> tuple[Demand, ...]:
    counts: Counter[str] = Counter()
    because: dict[str, list[str]] = {}
    for (policy, approval, kind), ids in asked.items():
        counts[approval.group] = max(counts[approval.group], approval.count)
        named = ", ".join(str(id_) for id_ in ids[:_NAMED_MAX])
        more = f" and {len(ids) - _NAMED_MAX} more" if len(ids) > _NAMED_MAX else ""
        sentence = f"policy/{policy} asks {approval.count} of {approval.group} about each {kind.value}: {named}{more}"
        if sentence not in because.setdefault(approval.group, []):
            because[approval.group].append(sentence)
    return tuple(Demand(group, counts[group], people.get(group, ()), tuple(because[group])) for group in sorted(counts))
