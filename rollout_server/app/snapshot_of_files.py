"""Files as a snapshot, without a server and without a store: what `rollout_sdk.testing` decides by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_server.app.export import packed
from rollout_server.domain.checking import lint
from rollout_server.domain.files import load
from rollout_server.domain.journal import State
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.ruleset import ruleset_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_sdk.engine.problems import Problem
    from rollout_server.domain.files.document import Document


def snapshot_of_files(applied: Iterable[tuple[str, Sequence[tuple[str, bytes]]]]) -> bytes:
    """Return the snapshot that SDKs would hold after each `rollout apply`, one after the other, to nothing.

    The entry point "documents" of the group "rollout_sdk.testing": the SDK finds it there and does not import it.

    Args:
        applied: (environment, files) of each. The environment's overlays are merged; "" merges none. A file is
            (name, UTF-8 text): YAML, or JSON where the name ends so.

    Raises:
        ValueError: something is wrong in them; a line for each thing, with its place.
    """
    state = State(Position("files", 0))
    for environment, files in applied:
        state = _apply(state, environment, files)
    return packed("", state, ruleset_of(state), 0)


def _apply(before: State, environment: str, files: Sequence[tuple[str, bytes]]) -> State:
    documents: list[Document] = []
    problems: list[Problem] = []
    for name, text in files:
        loaded = load(text, name, environment or None)
        documents += loaded.documents
        problems += loaded.problems
    problems += [problem for problem in lint(documents, before.resources.values()) if problem not in problems]
    _refuse(problems)
    written = tuple(document.resource for document in documents if document.resource is not None)
    made = plan(before, Wish(written))
    _refuse(made.problems)
    return replace(made.after, position=replace(before.position, revision=before.position.revision + 1))


def _refuse(problems: Iterable[Problem]) -> None:
    lines = [str(problem) for problem in problems]
    if lines:
        raise ValueError("\n".join(lines))
