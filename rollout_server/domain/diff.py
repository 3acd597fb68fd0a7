"""What differs between two forms of a resource, field by field, in the places that its document has.

Lists whose entries have names (rules, requirements) are matched by name; long lists of units by what came and went,
counted where it is too much to list. Map order counts where it is meaning, as in a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from rollout_sdk.engine.sameness import same
from rollout_server.domain.files.canonical import canonical_json
from rollout_server.domain.files.paths import child
from rollout_server.domain.files.stored import write_status, write_stored
from rollout_server.domain.files.writer import write
from rollout_server.domain.resources import PLANNED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.resources import Resource, ResourceId

WHOLE_MAX = 20
"""Lists of scalars up to this length are shown whole."""

LISTED_MAX = 100
"""Up to so many entries that came or went are shown one by one."""

_NAMES = {"spec.rules": "id", "spec.requires": "flag", "spec.stages": "name", "spec.guardrails": "metric"}
_LEFT_OUT = frozenset({"hash", "documents", "reads"})
"""Of what verbs write: secrets, and what a change is made of, which the plan of the change tells."""


class Operation(Enum):
    """What happens to a resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One place of a document.

    Attributes:
        path: "spec.rules[launch].split.on".
        before_json, after_json: JSON text; empty where the field is absent.
    """

    path: str
    before_json: str
    after_json: str


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One resource before and after.

    Attributes:
        version_before, version_after: revision that last changed it; 0 where it does not exist.
    """

    id: ResourceId
    operation: Operation
    version_before: int
    version_after: int
    fields: tuple[FieldChange, ...]


def change_of(before: Resource | None, after: Resource | None) -> ResourceChange:
    """Return how a resource differs; None where it does not exist. Hashes of tokens are left out.

    Raises:
        ValueError: both are None.
    """
    known = after or before
    if known is None:
        raise ValueError("a resource exists before or after")
    one, other = _tree(before), _tree(after)
    if before is None or after is None:  # what verbs will write of it is no news
        one.pop("status", None)
        other.pop("status", None)
    fields = tuple(_differences(one, other, ""))
    if before is None or after is None:
        operation = Operation.CREATE if before is None else Operation.DELETE
    else:
        operation = Operation.UPDATE if fields else Operation.UNCHANGED
    versions = (before.version if before else 0, after.version if after else 0)
    return ResourceChange(known.id, operation, *versions, fields)


def is_same_document(before: Resource, after: Resource) -> bool:
    """Whether people wrote the same: metadata and spec, not what verbs wrote."""
    return same(before.metadata, after.metadata) and same(before.spec, after.spec)


def _tree(resource: Resource | None) -> dict[str, Json]:
    """What is compared: metadata, spec and status."""
    if resource is None:
        return {}
    if resource.kind not in PLANNED:
        stored = write_stored(resource)
        spec = stored["spec"]
        shown = {k: value for k, value in spec.items() if k not in _LEFT_OUT} if isinstance(spec, dict) else spec
        return {"metadata": stored["metadata"], "spec": shown, "status": stored["status"]}
    document = write(resource)
    return {"metadata": document["metadata"], "spec": document.get("spec", {}), "status": write_status(resource)}


def _differences(before: Json, after: Json, path: str) -> Iterator[FieldChange]:
    """Yield what differs between two values that are both there."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _map_differences(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_differences(before, after, path)
    elif not same(before, after):
        yield FieldChange(path, _text(before), _text(after))


def _map_differences(before: dict[str, Json], after: dict[str, Json], path: str) -> Iterator[FieldChange]:
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield FieldChange(path, _text(before), _text(after))
        return
    for name in [*before, *(name for name in after if name not in before)]:
        place = child(path, name)
        if name in before and name in after:
            yield from _differences(before[name], after[name], place)
        elif path:
            yield _one_sided(name, before, after, place)
        else:
            yield from _map_differences(_map(before.get(name, {})), _map(after.get(name, {})), place)


def _list_differences(before: list[Json], after: list[Json], path: str) -> Iterator[FieldChange]:
    name = _NAMES.get(path)
    named_before, named_after = (_by_name(items, name) if name else None for items in (before, after))
    if named_before is not None and named_after is not None:
        yield from _named_differences(named_before, named_after, path)
    elif _is_scalars(before) and _is_scalars(after):
        yield from _scalar_differences(before, after, path)
    else:
        for at in range(max(len(before), len(after))):
            place = child(path, at)
            if at < len(before) and at < len(after):
                yield from _differences(before[at], after[at], place)
            else:
                old, new = (_text(items[at]) if at < len(items) else "" for items in (before, after))
                yield FieldChange(place, old, new)


def _named_differences(before: dict[str, Json], after: dict[str, Json], path: str) -> Iterator[FieldChange]:
    """Yield the order first, unless the new entries only follow the old ones; then entry by entry."""
    added = [name for name in after if name not in before]
    if [*(name for name in before if name in after), *added] != list(after):
        yield FieldChange(path, _text(list(before)), _text(list(after)))
    for name in [*before, *added]:
        place = f"{path}[{name}]"
        if name in before and name in after:
            yield from _differences(before[name], after[name], place)
        else:
            yield _one_sided(name, before, after, place)


def _scalar_differences(before: list[Json], after: list[Json], path: str) -> Iterator[FieldChange]:
    if same(before, after):
        return
    if max(len(before), len(after)) <= WHOLE_MAX:
        yield FieldChange(path, _text(before), _text(after))
        return
    old, new = {_distinct(item): item for item in before}, {_distinct(item): item for item in after}
    gone, come = ([item for key, item in one.items() if key not in two] for one, two in ((old, new), (new, old)))
    if len(gone) + len(come) > LISTED_MAX or not (gone or come):
        yield FieldChange(path, _count(before), _count(after) if gone or come else '"the same, in another order"')
        return
    for item in gone:
        yield FieldChange(f"{path}[{_text(item)}]", _text(item), "")
    for item in come:
        yield FieldChange(f"{path}[{_text(item)}]", "", _text(item))


def _distinct(item: Json) -> object:
    """Tell True from 1 from "1"; a text is its own key, since lists of a million are texts."""
    return item if isinstance(item, str) else (type(item), item)


def _one_sided(name: str, before: Mapping[str, Json], after: Mapping[str, Json], place: str) -> FieldChange:
    return FieldChange(
        place, _text(before[name]) if name in before else "", _text(after[name]) if name in after else ""
    )


def _by_name(items: list[Json], name: str) -> dict[str, Json] | None:
    """Return entries by name; None where they have none or share one."""
    found: dict[str, Json] = {}
    for item in items:
        key = item.get(name) if isinstance(item, dict) else None
        if not isinstance(key, str) or key in found:
            return None
        found[key] = item
    return found


def _is_scalars(items: Sequence[Json]) -> bool:
    return not any(isinstance(item, list | dict) for item in items)


def _map(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _text(value: Json) -> str:
    return canonical_json(_shortened(value)).decode()


def _shortened(value: Json) -> Json:
    """Replace long lists of scalars by their length: a cohort has up to a million keys."""
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        if len(value) > LISTED_MAX and _is_scalars(value):
            return {"count": len(value)}
        return [_shortened(inner) for inner in value]
    return value


def _count(items: Sequence[Json]) -> str:
    return _text({"count": len(items)})
