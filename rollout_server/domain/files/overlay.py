"""What one environment says otherwise: `environments: {production: {spec: {...}}}`.

Only the maps that hold one thing under each name merge: the spec's fields, variants, targets, and what a policy says of
each group and kind. Everything below is one
value and replaces the other whole: a list, a condition, a variant's value. Half a condition of each would mean neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.domain.files import names, paths

if TYPE_CHECKING:
    from rollout_server.domain.files.shape import Reading

OVERLAY_FIELDS = ("spec",)
MERGED = ("variants", "targets", "groups", "approvals", "names")
"""Fields of a spec that merge name by name."""

_FIELD = 2  # steps to a field of the spec


def split_overlays(reading: Reading, tree: dict[str, object]) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Return the document without its environments, and each environment's spec."""
    rest = {name: value for name, value in tree.items() if name != "environments"}
    if "environments" not in tree:
        return rest, {}
    found: dict[str, dict[str, object]] = {}
    environments = tree["environments"]
    if not isinstance(environments, dict):
        reading.wanted(environments, "environments", "a map of environments")
        return rest, {}
    for name, overlay in environments.items():
        path = paths.child("environments", str(name))
        text = reading.name(reading.text, name, path)
        if text and (why := names.why_no_key(text)):
            reading.refuse(path, "bad_key", f"{names.show(text)} cannot be an environment: {why}", names.KEY_HINT)
        fields = reading.fields(overlay, path, OVERLAY_FIELDS, "what differs: spec")
        spec = fields.get("spec", {})
        if isinstance(spec, dict):
            found[text] = spec
        else:
            reading.wanted(spec, paths.child(path, "spec"), "a map")
    return rest, found


def merge(document: dict[str, object], overlay: dict[str, object]) -> dict[str, object]:
    """Return the document as it is in an environment. Fields keep the document's order, new ones follow."""
    spec = document.get("spec", {})
    if not overlay or not isinstance(spec, dict):
        return document
    merged = {**spec, **overlay}
    for name in MERGED:
        below, above = spec.get(name), overlay.get(name)
        if isinstance(below, dict) and isinstance(above, dict):
            merged[name] = {**below, **above}
    return {**document, "spec": merged}


def path_in_file(document: dict[str, object], overlay: dict[str, object], path: str, environment: str) -> str:
    """Return where a place of the merged document stands in the file: in the overlay, if that is what decided.

    Args:
        document: without its environments.
        overlay: what was merged into it.
        path: in the merged document.
        environment: whose overlay it is.
    """
    steps = paths.resolve({"spec": overlay}, path)
    if len(steps) < _FIELD:
        return path
    name = steps[_FIELD - 1]
    spec = document.get("spec")
    below = spec.get(name) if isinstance(spec, dict) else None
    if name in MERGED and isinstance(below, dict) and len(steps) == _FIELD:
        return path
    return f"{paths.child('environments', environment)}.{path}"
