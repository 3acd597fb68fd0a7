"""Who asks: units and attributes. Made from anything a caller may hold, and never an exception."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn, final

from rollout_sdk.engine.bucketing import unit64
from rollout_sdk.engine.cohorts import key_hash
from rollout_sdk.engine.limits import CONTEXT_JSON_BYTES
from rollout_sdk.engine.model import DEFAULT_UNIT
from rollout_sdk.engine.values import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@final
class Context:
    """One or more units, and attributes.

    A key that is no text, is empty or holds a lone surrogate is no unit. Attributes are kept as given: nothing is
    copied deeply, nothing of them is called; what no operator can compare is of the wrong type for all of them.

    Attributes:
        units: kind to key; valid units only.
        attributes: name to value.
        unit64s, key_hashes: what was computed of the units so far. For the engine; ask `unit64` and `key_hash`.
        counted: the two hashes of a unit that is counted, by all that goes into them. For `engine.counted`.
    """

    __slots__ = ("attributes", "counted", "key_hashes", "unit64s", "units")

    units: Mapping[str, str]
    attributes: Mapping[str, object]
    unit64s: dict[str, bytes]
    key_hashes: dict[str, int]
    counted: dict[bytes, tuple[int, int]]

    def __init__(self, key: str | None = None, /, **attributes: object) -> None:
        """Make a context of one unit of kind "user", or of none."""
        if type(key) is str and key and key.isascii():  # nearly always, and the checks cost more than the rest
            _set_units(self, {DEFAULT_UNIT: key})
        else:
            _set_units(self, _valid_units({DEFAULT_UNIT: key}))
        _set_attributes(self, attributes)
        _set_unit64s(self, {})
        _set_key_hashes(self, {})
        _set_counted(self, {})

    @classmethod
    def of(cls, units: Mapping[str, str], attributes: Mapping[str, object] | None = None) -> Context:
        """Make a context of any units and attributes. Both are copied, one level deep."""
        context = cls(None)
        _set_units(context, _valid_units(_entries(units)))
        _set_attributes(context, _entries(attributes))
        return context

    def unit64(self, kind: str) -> bytes | None:
        """Return the unit of this kind as bucketing wants it (64 ASCII characters), or None where there is none."""
        unit = self.unit64s.get(kind)
        if unit is None:
            key = self.units.get(kind)
            if key is None:
                return None
            unit = self.unit64s[kind] = unit64(key).encode()
        return unit

    def key_hash(self, kind: str) -> int | None:
        """Return the hash of the unit of this kind as cohorts list it, or None where there is none."""
        found = self.key_hashes.get(kind)
        if found is None:
            key = self.units.get(kind)
            if key is None:
                return None
            found = self.key_hashes[kind] = key_hash(key)
        return found

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a context does not change; make a new one to set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a context does not change; make a new one without {name!r}")

    def __reduce__(self) -> tuple[Callable[..., Context], tuple[dict[str, str], dict[str, object]]]:
        """Copy and pickle by what was given, so that a context may travel to another process."""
        return Context.of, (dict(self.units), dict(self.attributes))

    def __repr__(self) -> str:
        """Kinds and counts only: keys and attributes are personal and must not reach a log."""
        return f"<Context of {', '.join(self.units) or 'no unit'}; {len(self.attributes)} attributes>"


# Writes past __setattr__: a slot's own descriptor is the quickest way.
_set_units = vars(Context)["units"].__set__
_set_attributes = vars(Context)["attributes"].__set__
_set_unit64s = vars(Context)["unit64s"].__set__
_set_key_hashes = vars(Context)["key_hashes"].__set__
_set_counted = vars(Context)["counted"].__set__


def _entries(mapping: object) -> dict[str, object]:
    """Copy what has text for a key; a mapping that cannot be read is empty."""
    if mapping is None:
        return {}
    try:
        entries: dict[object, object] = dict(mapping)  # type: ignore[call-overload] # a caller's; that is what try is for
    except Exception:  # noqa: BLE001 - foreign code, and a context never raises
        return {}
    return {name: value for key, value in entries.items() if (name := as_text(key)) is not None}


def _valid_units(units: Mapping[str, object]) -> dict[str, str]:
    return {kind: key for kind, value in units.items() if (key := as_text(value)) and _is_unicode(key)}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


EMPTY = Context()
"""A context without units and attributes: what an object that is no context counts as."""


def as_context(context: object) -> Context:
    """Return a context as it is, and `EMPTY` for anything else."""
    # Its type and not what it says of its class, which is code of the caller's.
    return context if type(context) is Context else EMPTY


# ------------------------------------------------------------------------------------------------ the shared JSON form


def from_json(text: str | bytes) -> Context:
    """Read {"units": {kind: key}, "attributes": {name: value}}; both may be left out.

    Strict where `Context` is lenient: this reads what a person wrote, and a typing error there must not be silence.

    Raises:
        ValueError: it is not that; the message says what and where, and what to do.
    """
    size = len(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    if size > CONTEXT_JSON_BYTES:
        raise ValueError(
            f"the context has {size} bytes, more than {CONTEXT_JSON_BYTES}; leave out what no flag asks for"
        )
    try:
        document = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except RecursionError:
        raise ValueError("the context is nested too deeply; flatten it") from None
    except ValueError as error:
        raise ValueError(f"the context is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError('the context must be an object; write {"units": {"user": "u-1"}, "attributes": {}}')  # noqa: TRY004 - input, not a bug
    unknown = [name for name in document if name not in ("units", "attributes")]
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; a context has units and attributes, put it into one of them")
    units = _object(document, "units")
    attributes = _object(document, "attributes")
    keys = _valid_units(units)
    if len(keys) < len(units):
        kind = next(kind for kind in units if kind not in keys)
        raise ValueError(f"units.{kind}: a unit's key is text that is not empty; quote it")
    return Context.of(keys, attributes)


def to_json(context: Context) -> str:
    """Write the form that `from_json` reads: units first, kinds and names in order.

    Raises:
        ValueError: an attribute holds what JSON cannot say.
    """
    document = {"units": dict(sorted(context.units.items())), "attributes": dict(sorted(context.attributes.items()))}
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"an attribute cannot be said in JSON: {error}") from None


def _object(document: dict[str, object], name: str) -> dict[str, object]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name}: must be an object, from names to values")  # noqa: TRY004 - input, not a bug
    return value


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return entries


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
