"""Pieces of JSON Schema that every kind is described with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json


def ref(name: str) -> Json:
    """Point to a definition, or into one: "stage", "flagSpec/properties/unit"."""
    return {"$ref": f"#/$defs/{name}"}


def closed_map(properties: dict[str, Json], required: tuple[str, ...] = (), **more: Json) -> dict[str, Json]:
    """Describe a map of these fields and no others."""
    tree: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    if required:
        tree["required"] = list(required)
    return tree


def text(characters_max: int | None = None, **more: Json) -> dict[str, Json]:
    """Describe text that is not empty."""
    tree: dict[str, Json] = {"type": "string", "minLength": 1}
    if characters_max is not None:
        tree["maxLength"] = characters_max
    return {**tree, **more}


def texts(characters_max: int) -> dict[str, Json]:
    """Describe a list of texts."""
    return {"type": "array", "items": text(characters_max)}
