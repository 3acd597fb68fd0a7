"""Problems: what is wrong, where, and what to do. Validation collects all of them and raises none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in one resource.

    Attributes:
        resource: "flag/checkout-v2"; empty where the document has no readable key.
        path: place in the document, "spec.rules[2].when.all[0]"; empty for the whole of it.
        code: stable, "unknown_variant".
        message: what happened, without the path.
        hint: what to do next.
        origin: where the document came from, "flags.yaml:12:3".
    """

    resource: str
    path: str
    code: str
    message: str
    hint: str = ""
    origin: str = ""

    def __str__(self) -> str:
        """One line: where, what, what next."""
        place = ": ".join(part for part in (self.origin, self.resource, self.path) if part)
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {self.message}{hint}" if place else f"{self.message}{hint}"
