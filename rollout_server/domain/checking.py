"""What can be said of files without a server: do they fit together, and do their test cases hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Origin, Position
from rollout_sdk.engine.validate import validate
from rollout_server.domain.files.document import duplicates
from rollout_server.domain.files.places import Places
from rollout_server.domain.journal import State
from rollout_server.domain.resources import first_status
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.domain.validation import Scope, validate_resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_sdk.engine.model import Decision
    from rollout_sdk.engine.problems import Problem
    from rollout_server.domain.files.cases import Case
    from rollout_server.domain.files.document import Document
    from rollout_server.domain.resources import Resource


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One test case and what was decided.

    Attributes:
        flag: key of the flag.
        origin: where the case stands, "flags.yaml:30:5".
    """

    flag: str
    case: Case
    decision: Decision
    origin: str

    @property
    def passed(self) -> bool:
        """Whether the context gets what the case expects."""
        return self.decision.variant == self.case.expect


def lint(documents: Sequence[Document], known: Iterable[Resource] = ()) -> tuple[Problem, ...]:
    """Return what is wrong with documents that read well: references, cycles, limits, twins; each at its line.

    Args:
        documents: of all files together, all of one environment; those without a resource are left out, their
            problems were told by `load`.
        known: what exists beside them, as on a server.
    """
    resources = {resource.id: resource for resource in known}
    by_name: dict[str, Document] = {}
    for document in documents:
        if document.resource is not None:
            resources[document.resource.id] = document.resource
            by_name.setdefault(str(document.resource.id), document)
    state = _created(resources.values())
    ruleset = ruleset_of(state)
    places: dict[str, Places] = {}
    found = list(duplicates(documents))
    written = frozenset(document.resource.id for document in documents if document.resource is not None)
    scope = Scope(touched=state.resources.keys(), written=written, created=written)
    for problem in (
        *validate(ruleset.flags, ruleset.cohorts, ruleset.rollouts),
        *validate_resources(state.resources, ruleset.cohorts, scope),
    ):
        owner = by_name.get(problem.resource)
        if owner is None:
            found.append(problem)
            continue
        place = places.setdefault(problem.resource, Places(owner.source, owner.environment))
        found.append(replace(problem, origin=place.at(problem.path)))
    return tuple(found)


def run_cases(documents: Sequence[Document]) -> tuple[CaseResult, ...]:
    """Decide every test case of the documents with the evaluator that SDKs run, over all documents together."""
    resources = [document.resource for document in documents if document.resource is not None]
    decider = compile_ruleset(ruleset_of(_created(resources))).bind(Origin())
    results = []
    for document in documents:
        if document.resource is None or not document.cases:
            continue
        flag = document.resource.metadata.key
        places = Places(document.source, document.environment)
        for case in document.cases:
            decision = decider.decide(flag, Context.of(case.units, case.attributes))
            results.append(CaseResult(flag, case, decision, places.at(case.path)))
    return tuple(results)


def _created(resources: Iterable[Resource]) -> State:
    """Return what a server would hold of resources that were just created."""
    created = (replace(one, status=one.status or first_status(one)) for one in resources)
    return State(Position("", 0), MappingProxyType({resource.id: resource for resource in created}))
