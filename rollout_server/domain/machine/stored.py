"""Runs and checkpoints as plain JSON trees: `read(write(x)) == x`.

Flat records field by field, in the order of the dataclass. The pipeline's form is that of files, which this package
does not know: it is handed in. A field that a later version adds has a default, so older journals stay readable; what
does not fit otherwise is damage.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast, get_args, get_origin, get_type_hints

from rollout_server.domain.machine.run import Progress, Run
from rollout_server.errors import Corrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.rollouts import PipelineSpec

T = TypeVar("T")

_PIPELINE = "pipeline"
_HINT = "run `rollout audit verify`, then restore a backup"


def write_run(run: Run, write_pipeline: Callable[[PipelineSpec], Json]) -> dict[str, Json]:
    """Return the run as a tree of maps, lists, texts, integers, booleans and nulls."""
    return {**_write_record(run, skipped=_PIPELINE), _PIPELINE: write_pipeline(run.pipeline)}


def read_run(tree: object, read_pipeline: Callable[[object], PipelineSpec], where: str = "run") -> Run:
    """Return the run that `write_run` wrote.

    Args:
        tree: as it was parsed from the store.
        read_pipeline: the inverse of what it was written with; raises Corrupt itself.
        where: named in the error.

    Raises:
        Corrupt: it is not of that form.
    """
    if not isinstance(tree, dict) or _PIPELINE not in tree:
        raise Corrupt(where, "a run is a map with a pipeline", _HINT)
    rest = {name: value for name, value in tree.items() if name != _PIPELINE}
    return _read_record(Run, rest, where, {_PIPELINE: read_pipeline(tree[_PIPELINE])})


def write_progress(progress: Progress) -> dict[str, Json]:
    """Return a checkpoint as a tree."""
    return _write_record(progress)


def read_progress(tree: object, where: str = "checkpoint") -> Progress:
    """Return the checkpoint that `write_progress` wrote.

    Raises:
        Corrupt: it is not of that form.
    """
    return _read_record(Progress, tree, where, {})


def _write_record(record: object, skipped: str = "") -> dict[str, Json]:
    names = [field.name for field in fields(record) if field.name != skipped]  # type: ignore[arg-type]  # ours are
    return {name: _write(getattr(record, name)) for name in names}


def _write(value: object) -> Json:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    return _write_record(value) if is_dataclass(value) else cast("Json", value)


def _read_record(kind: type[T], tree: object, where: str, given: Mapping[str, object]) -> T:
    if not isinstance(tree, dict):
        raise Corrupt(where, f"a map is wanted, found {type(tree).__name__}", _HINT)
    hints = _hints(cast("Hashable", kind))
    unknown = [name for name in tree if name not in hints]
    if unknown:
        raise Corrupt(where, f"unknown field {unknown[0]!r}", _HINT)
    values = dict(given)
    for field in fields(kind):  # type: ignore[arg-type]  # ours are dataclasses
        if field.name in tree:
            values[field.name] = _read(hints[field.name], tree[field.name], f"{where}.{field.name}")
        elif field.name not in given and field.default is MISSING:
            raise Corrupt(where, f"{field.name} is missing", _HINT)
    return kind(**values)


def _read(hint: object, tree: object, where: str) -> object:
    if type(None) in get_args(hint):
        inner = next(kind for kind in get_args(hint) if kind is not type(None))
        return None if tree is None else _read(inner, tree, where)
    if get_origin(hint) is tuple:
        return _read_tuple(get_args(hint), tree, where)
    kind = cast("type[object]", hint)
    if is_dataclass(kind):
        return _read_record(kind, tree, where, {})
    if issubclass(kind, Enum):
        if tree not in [member.value for member in kind]:
            raise Corrupt(where, f"unknown {kind.__name__} {tree!r}", _HINT)
        return kind(tree)
    if type(tree) is not kind:  # a boolean is no integer here
        raise Corrupt(where, f"{kind.__name__} is wanted, found {type(tree).__name__}", _HINT)
    return tree


def _read_tuple(kinds: tuple[object, ...], tree: object, where: str) -> tuple[object, ...]:
    is_of_one_kind = kinds[-1] is Ellipsis
    if not isinstance(tree, list) or (not is_of_one_kind and len(tree) != len(kinds)):
        raise Corrupt(where, f"a list is wanted, found {tree!r}", _HINT)
    each = kinds[:1] * len(tree) if is_of_one_kind else kinds
    pairs = enumerate(zip(each, tree, strict=True))
    return tuple(_read(kind, item, f"{where}[{index}]") for index, (kind, item) in pairs)


@cache
def _hints(kind: Hashable) -> dict[str, object]:
    return get_type_hints(kind)
