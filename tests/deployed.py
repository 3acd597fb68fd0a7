"""What lies in deploy/, read: the composition with its variables filled in, rules, and queries of dashboards."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
VARIABLES = {"REDIS_PASSWORD": "secret-of-redis"}
_PRETENDED = {"$environment": "production", "$rollout": "launch", "$guardrail": "errors", "$__rate_interval": "1m"}


def read_yaml(path: Path) -> Any:
    """Return the tree of a file; keys given twice are refused."""
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def compose() -> dict[str, Any]:
    """Return compose.yaml as Compose takes it, with the variables that docs/deploy.md asks for."""
    tree: dict[str, Any] = _filled(read_yaml(DEPLOY / "compose.yaml"))
    return tree


def _filled(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _filled(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_filled(value) for value in tree]
    return re.sub(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", _value, tree) if isinstance(tree, str) else tree


def _value(match: re.Match[str]) -> str:
    if match[1] in VARIABLES:
        return VARIABLES[match[1]]
    assert match[2] is not None, f"{match[1]} has neither a value nor a default"
    return match[2]


def servers() -> dict[str, dict[str, Any]]:
    """Return the services that run our image."""
    return {name: one for name, one in compose()["services"].items() if one["image"].startswith("rollout-guard:")}


def rules() -> list[dict[str, Any]]:
    """Return the alerting rules."""
    return [rule for group in read_yaml(DEPLOY / "prometheus" / "rules.yaml")["groups"] for rule in group["rules"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards by file name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DEPLOY.glob("grafana/*.json"))}


def queries() -> dict[str, str]:
    """Return every query of every panel, its variables filled in, by where it is."""
    return {
        f"{name}: {panel['title']} {target['refId']}": _without_variables(target["expr"])
        for name, dashboard in dashboards().items()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }


def _without_variables(query: str) -> str:
    for variable, value in _PRETENDED.items():
        query = query.replace(variable, value)
    assert "$" not in query, query
    return query


def metrics_in(query: str) -> set[str]:
    """Return the names of our metrics in a query."""
    return set(re.findall(r"\brollout_[a-z_0-9]+\b(?=[{\[\s)]|$)", re.sub(r'"[^"]*"', '""', query)))
