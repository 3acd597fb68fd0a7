"""Documents in words: what a condition asks, what a rule serves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_server.cli.yaml_text import Data

_LISTED_MAX = 5
_MODIFIERS = ("ignore_case", "on_missing")
_SUBJECTS = ("attribute", "unit")


def condition(node: Data) -> str:
    """Return a condition of a document as a sentence; one that is shaped oddly is shown as it is."""
    if not isinstance(node, Mapping):
        return value(node)
    for word, joint in (("all", " and "), ("any", " or ")):
        parts = node.get(word)
        if isinstance(parts, list):
            return _joined(parts, joint) if parts else ("always" if word == "all" else "never")
    if "not" in node:
        return f"not {_nested(node['not'])}"
    if "cohort" in node:
        return f"in cohort {node['cohort']}"
    subject = next((word for word in _SUBJECTS if word in node), None)
    operator = next((word for word in node if word not in (*_SUBJECTS, *_MODIFIERS)), None)
    if subject is None or operator is None:
        return value(node)
    name = str(node[subject]) if subject == "attribute" else f"unit {node[subject]}"
    text = f"{name} {operator.replace('_', ' ')} {value(node[operator])}"
    if node.get("ignore_case"):
        text += " (any case)"
    missing = node.get("on_missing")
    return f"{text} (missing: {str(missing).replace('_', ' ')})" if missing else text


def _joined(parts: Sequence[Data], joint: str) -> str:
    return joint.join(_nested(part) for part in parts) if len(parts) > 1 else condition(parts[0])


def _nested(node: Data) -> str:
    text = condition(node)
    is_compound = isinstance(node, Mapping) and ("all" in node or "any" in node) and " " in text
    return f"({text})" if is_compound else text


def value(data: Data) -> str:
    """Return a value as it would be written in a file; a long list is cut."""
    if isinstance(data, list) and len(data) > _LISTED_MAX:
        shown = ", ".join(json.dumps(item, ensure_ascii=False) for item in data[:_LISTED_MAX])
        return f"[{shown}, … {len(data):,} in all]"
    return json.dumps(data, ensure_ascii=False)


def outcome(rule: Mapping[str, Data]) -> str:
    """Return what a rule serves: `on`, the shares of its split, or whose word it is."""
    split = rule.get("split")
    if isinstance(split, Mapping):
        return ", ".join(f"{variant} {share(part)}" for variant, part in split.items())
    if "rollout" in rule:
        return f"as rollout {rule['rollout']} says"
    return str(rule.get("serve", ""))


def share(part: Data) -> str:
    """Return a share with a space before the sign: "12.5 %"."""
    return f"{part[:-1].strip()} %" if isinstance(part, str) and part.endswith("%") else str(part)
