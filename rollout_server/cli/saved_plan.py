"""A plan on disk: what was reviewed, so that exactly that is applied later, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.cli.documents import refuse_irregular
from rollout_server.cli.failures import CommandFailed, usage

if TYPE_CHECKING:
    from rollout_server.cli.yaml_text import Data

KIND = "RolloutPlan"
FORMAT = 1
_BYTES_MAX = 256 << 20
_DOCUMENTS_HINT = "apply documents with -f FILE; save a plan with: rollout plan --save FILE"


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What `plan --save` wrote.

    Attributes:
        environment: the plan is for no other one.
        documents: (origin, JSON) of each, overlays merged.
        can_apply: False for a plan against a point of the past.
        plan: hash, versions read, changes and moves, as `-o json` prints them.
    """

    environment: str
    documents: tuple[tuple[str, str], ...]
    prune: bool
    can_apply: bool
    plan: Mapping[str, Data]

    @property
    def hash(self) -> str:
        """What apply must find again."""
        return str(self.plan.get("hash", ""))

    @property
    def reads(self) -> Mapping[str, int]:
        """Version of each resource the plan rests on."""
        reads = self.plan.get("reads")
        return (
            {key: value for key, value in reads.items() if isinstance(value, int)} if isinstance(reads, Mapping) else {}
        )


def save(path: str, saved: SavedPlan) -> None:
    """Write the plan.

    Raises:
        CommandFailed: it cannot be written.
    """
    from rollout_server.domain.unseen import escaped_in_json

    tree = {
        "kind": KIND,
        "format": FORMAT,
        "environment": saved.environment,
        "prune": saved.prune,
        "can_apply": saved.can_apply,
        "documents": [{"origin": origin, "json": text} for origin, text in saved.documents],
        "plan": saved.plan,
    }
    try:
        text = escaped_in_json(json.dumps(tree, ensure_ascii=False, indent=2))
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"the plan cannot be saved in {path}: {error.strerror}") from error


def load(path: str) -> SavedPlan:
    """Read a saved plan.

    Raises:
        CommandFailed: usage; it cannot be read or is none.
    """
    try:
        refuse_irregular(Path(path))
        with Path(path).open("rb") as file:
            tree = json.loads(file.read(_BYTES_MAX))
    except OSError as error:
        raise usage(f"the plan {path} cannot be read: {error.strerror}", _DOCUMENTS_HINT) from error
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict) or tree.get("kind") != KIND:
        raise usage(f"{path} is no saved plan", _DOCUMENTS_HINT)
    if tree.get("format") != FORMAT:
        raise usage(
            f"{path} is a plan of format {tree.get('format')!r}; this command line knows {FORMAT}", "plan again"
        )
    listed, plan, environment = tree.get("documents"), tree.get("plan"), tree.get("environment")
    if not isinstance(listed, list) or not isinstance(plan, dict) or not isinstance(environment, str):
        raise usage(f"the plan {path} is damaged", "plan again")
    return SavedPlan(
        environment=environment,
        documents=tuple(_document(item, path) for item in listed),
        prune=tree.get("prune") is True,
        can_apply=tree.get("can_apply") is True,
        plan=plan,
    )


def _document(item: object, path: str) -> tuple[str, str]:
    origin, text = (item.get("origin"), item.get("json")) if isinstance(item, dict) else (None, None)
    if not isinstance(origin, str) or not isinstance(text, str):
        raise usage(f"the plan {path} is damaged", "plan again")
    return origin, text


def moved(before: Mapping[str, int], after: Mapping[str, int]) -> Sequence[str]:
    """Return what a plan read that has another version now, a line each."""
    return [
        f"{key}: version {before.get(key, 0) or 'none'} when planned, {after.get(key, 0) or 'none'} now"
        for key in sorted({*before, *after})
        if before.get(key, 0) != after.get(key, 0)
    ]
