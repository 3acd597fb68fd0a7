"""Documents as callers send them, and the one way to read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One resource in the JSON form of the published schema.

    Attributes:
        json: UTF-8 JSON text of {kind, metadata, spec}.
        kind, key: as the caller read them, for problems in a document that cannot be read; may be empty.
        origin: where the caller read it, "flags.yaml:12"; given back in problems.
    """

    json: str
    kind: str = ""
    key: str = ""
    origin: str = ""
