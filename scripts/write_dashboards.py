"""Writes deploy/grafana/*.json, the dashboards of Grafana. `--check` writes nothing and fails where they are not fresh.

python scripts/write_dashboards.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

INTO: Final = Path(__file__).resolve().parents[1] / "deploy" / "grafana"
WIDTH: Final = 24
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
EVERY_ENVIRONMENT: Final = 'environment=~"$environment"'
ROLLOUT: Final = 'environment="$environment", rollout="$rollout"'
GUARDRAIL: Final = f'{ROLLOUT}, guardrail="$guardrail"'

COLOURS: Final = {
    "healthy": "green",
    "degraded": "red",
    "undecided": "blue",
    "blind": "orange",
    "skewed": "purple",
    "unjudged": "text",
}


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        queries: legend to PromQL.
        what: says what to see in it.
        unit: Grafana's name of it.
        repeat: name of a variable; one panel for each value.
    """

    title: str
    queries: dict[str, str]
    what: str = ""
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    repeat: str = ""


def quantile(of: float, metric: str, by: str, labels: str = EVERY_ENVIRONMENT) -> str:
    """Return the query of a quantile of a histogram."""
    return f"histogram_quantile({of}, sum by ({by}, le) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def stat(title: str, query: str, what: str = "", legend: str = "") -> Panel:
    """Return one number, as it is now."""
    return Panel(title, {legend: query}, what, "stat", width=4, height=4)


OVERVIEW: Final = (
    stat("Servers", 'sum(up{job="rollout"})', "That answer."),
    stat(
        "Driving",
        f"sum by (environment) (rollout_lease_held{{{EVERY_ENVIRONMENT}}})",
        "Servers that hold the lease. One for each environment is right.",
        "{{environment}}",
    ),
    stat("Rollouts under way", f"sum(max by (environment, phase) (rollout_runs{{{EVERY_ENVIRONMENT}}}))"),
    stat(
        "Wait for a person",
        f"sum(max by (environment, rollout) (rollout_run_needs_person{{{EVERY_ENVIRONMENT}}})) or vector(0)",
        "An approval, or an answer.",
    ),
    stat("Flags killed", f"sum(max by (environment) (rollout_flags_killed{{{EVERY_ENVIRONMENT}}}))"),
    stat("Processes", f"sum(rollout_streams{{{EVERY_ENVIRONMENT}}})", "Connected."),
    Panel(
        "Rollouts",
        {"": f"max by (environment, rollout, flag, run, phase, stage) (rollout_run{{{EVERY_ENVIRONMENT}}})"},
        "Where each one is; the other dashboard shows one of them.",
        "table",
        width=12,
    ),
    Panel(
        "Guardrails",
        {"": f"max by (environment, rollout, guardrail, standing) (rollout_guardrail{{{EVERY_ENVIRONMENT}}})"},
        "How each one stands.",
        "table",
        width=12,
    ),
    Panel(
        "Processes by state",
        {"{{state}}": f"sum by (state) (rollout_instances{{{EVERY_ENVIRONMENT}}})"},
        "Straggling: connected, not yet at the newest revision. Unreachable: gone in the last hour without goodbye.",
    ),
    Panel(
        "From commit to a process",
        {
            "p50": quantile(0.5, "rollout_lag_seconds", "environment"),
            "p99": quantile(0.99, "rollout_lag_seconds", "environment"),
        },
        "Until it acknowledged the revision in force.",
        unit="s",
    ),
    Panel(
        "Revision",
        {"{{environment}} {{instance}}": f"rollout_revision{{{EVERY_ENVIRONMENT}}}"},
        "Of each server: lines that part say which one is behind.",
    ),
    Panel(
        "Ticks",
        {
            "p99 {{environment}}": quantile(0.99, "rollout_tick_seconds", "environment"),
            "age, {{environment}}": f"max by (environment) (rollout_tick_age_seconds{{{EVERY_ENVIRONMENT}}})",
        },
        "How long every rollout looked at once takes, and how long ago that was.",
        unit="s",
    ),
    Panel(
        "Ticks that could not look after a rollout",
        {"{{environment}}": f"sum by (environment) (increase(rollout_tick_failures_total{{{EVERY_ENVIRONMENT}}}[5m]))"},
        "In five minutes.",
    ),
    Panel(
        "Fencing token",
        {"{{environment}} {{instance}}": f"rollout_lease_fence{{{EVERY_ENVIRONMENT}}}"},
        "It grows with every server that takes the lease over.",
    ),
    Panel(
        "The store's calls, p99",
        {
            "{{part}} {{operation}} {{instance}}": quantile(
                0.99, "rollout_store_seconds", "part, operation, instance", labels=""
            )
        },
        "A write of the journal is a commit.",
        unit="s",
    ),
    Panel(
        "The store away",
        {
            "calls, {{part}} {{operation}}": "sum by (part, operation) (increase(rollout_store_failures_total[5m]))",
            "unreachable from {{instance}}": f"1 - rollout_store_reachable{{{EVERY_ENVIRONMENT}}}",
        },
        "Calls of five minutes that found it away.",
    ),
    Panel(
        "Changes",
        {
            "commits, {{environment}}": (
                f"max by (environment) (increase(rollout_commits_total{{{EVERY_ENVIRONMENT}}}[5m]))"
            ),
            "history changed, {{environment}}": (
                f"max by (environment) (increase(rollout_epoch_changes_total{{{EVERY_ENVIRONMENT}}}[5m]))"
            ),
        },
        "Of five minutes.",
    ),
    Panel(
        "Reports",
        {
            "taken": f"sum(rate(rollout_reports_total{{{EVERY_ENVIRONMENT}}}[$__rate_interval]))",
            "lost: {{reason}}": (
                f"sum by (reason) (rate(rollout_telemetry_lost_total{{{EVERY_ENVIRONMENT}}}[$__rate_interval]))"
            ),
            "of no arm": f"sum(rate(rollout_unattributed_total{{{EVERY_ENVIRONMENT}}}[$__rate_interval]))",
        },
        "A second: of processes, sums that were left out, and outcomes that belong to no arm.",
    ),
    Panel(
        "Notifications",
        {
            "{{outcome}}": f"sum by (outcome) (increase(rollout_notifications_total{{{EVERY_ENVIRONMENT}}}[5m]))",
            "on their way": f"sum(rollout_notifications_waiting{{{EVERY_ENVIRONMENT}}})",
        },
        "Attempts of five minutes.",
    ),
    Panel(
        "Calls",
        {
            "{{code}}": "sum by (code) (rate(rollout_requests_total[$__rate_interval]))",
            "denied": "sum(rate(rollout_denied_total[$__rate_interval]))",
        },
        "A second, by status.",
    ),
    Panel(
        "Calls, p99",
        {"{{method}}": quantile(0.99, "rollout_request_seconds", "method", labels="")},
        unit="s",
    ),
    Panel(
        "Durability",
        {"{{durability}}": "min by (durability) (rollout_store_durable)"},
        "1: what was acknowledged survives a loss of power.",
    ),
    Panel(
        "Certificate",
        {"{{instance}}": "rollout_tls_certificate_expiry_timestamp_seconds - time()"},
        "Time left.",
        unit="s",
    ),
)

ONE_ROLLOUT: Final = (
    Panel(
        "Where it is",
        {"{{phase}} · {{stage}} (run {{run}})": f"max by (phase, stage, run) (rollout_run{{{ROLLOUT}}})"},
        "",
        "state-timeline",
        width=24,
        height=5,
    ),
    Panel(
        "Share",
        {"of its stage's audience": f"max(rollout_run_share_ratio{{{ROLLOUT}}})"},
        "",
        unit="percentunit",
    ),
    Panel(
        "Units",
        {"{{arm}}": f"max by (arm) (rollout_run_units{{{ROLLOUT}}})"},
        "Seen in this run: candidate are exposed, control are not.",
    ),
    Panel(
        "Soak left",
        {"soak": f"max(rollout_run_soak_left_seconds{{{ROLLOUT}}})"},
        "It stands still while the rollout is held, paused, frozen or blind.",
        unit="s",
    ),
    Panel(
        "Guardrails",
        {"{{guardrail}}: {{standing}}": f"max by (guardrail, standing) (rollout_guardrail{{{ROLLOUT}}})"},
        "How each one stood.",
        "state-timeline",
        width=24,
        height=6,
    ),
    Panel(
        "$guardrail",
        {
            "estimate": f"max(rollout_guardrail_estimate{{{GUARDRAIL}}})",
            "low": f"max(rollout_guardrail_low{{{GUARDRAIL}}})",
            "high": f"max(rollout_guardrail_high{{{GUARDRAIL}}})",
            "limit": f"max(rollout_guardrail_limit{{{GUARDRAIL}}})",
        },
        "Candidate against control as a fraction, with its always-valid interval; the level itself where the limit is "
        "absolute.",
        width=12,
        repeat="guardrail",
    ),
    Panel(
        "Evidence that a limit is broken",
        {
            "{{guardrail}}": f"max by (guardrail) (rollout_guardrail_log_e{{{ROLLOUT}}})",
            "degraded at 1 %": "vector(4.6)",
        },
        "Natural logarithm of E: 0 says nothing, 4.6 is degraded.",
        width=12,
    ),
    Panel(
        "Units by guardrail",
        {"{{guardrail}} {{arm}}": f"max by (guardrail, arm) (rollout_guardrail_units{{{ROLLOUT}}})"},
        "That the last verdict rests on.",
        width=12,
    ),
)


def variable(name: str, query: str, *, many: bool = False) -> dict[str, Any]:
    """Return a variable whose values are those of a label."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "allValue": ".*" if many and name == "environment" else None,
        "current": {"text": "All", "value": "$__all"} if many else {},
    }


def drawn(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Lay panels out, left to right."""
    laid, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y, row = 0, y + row, 0
        laid.append(_panel(panel, number, x, y))
        x, row = x + panel.width, max(row, panel.height)
    return laid


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    now = panel.kind in {"stat", "table"}
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "instant": now,
            "range": not now,
            "format": "table" if panel.kind == "table" else "time_series",
        }
        for at, (legend, expression) in enumerate(panel.queries.items())
    ]
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.what,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": _overrides(panel)},
        "options": {},
    }
    if panel.kind == "table":
        hidden = {"Time": True, "Value": True}
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    if panel.repeat:
        made |= {"repeat": panel.repeat, "repeatDirection": "h", "maxPerRow": 2}
    return made


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    if panel.kind == "table":
        mappings = [{"type": "value", "options": {word: {"color": colour} for word, colour in COLOURS.items()}}]
        properties = [
            {"id": "mappings", "value": mappings},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ]
        return [{"matcher": {"id": "byName", "options": "standing"}, "properties": properties}]
    if "limit" in panel.queries:
        dashed = [
            {"id": "custom.lineStyle", "value": {"fill": "dash"}},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
        ]
        return [{"matcher": {"id": "byName", "options": "limit"}, "properties": dashed}]
    return []


def dashboard(uid: str, title: str, panels: tuple[Panel, ...], variables: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    return {
        "uid": uid,
        "title": title,
        "tags": ["rollout-guard"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "links": [{"type": "dashboards", "tags": ["rollout-guard"], "title": "Rollout Guard", "keepTime": True}],
        "panels": drawn(panels),
    }


def dashboards() -> dict[str, dict[str, Any]]:
    """Return all of them, by the name of their file."""
    environment = "label_values(rollout_revision, environment)"
    one = [
        variable("environment", environment),
        variable("rollout", 'label_values(rollout_run{environment="$environment"}, rollout)'),
        variable("guardrail", f"label_values(rollout_guardrail{{{ROLLOUT}}}, guardrail)", many=True),
    ]
    every = [variable("environment", environment, many=True)]
    return {
        "overview.json": dashboard("rollout-overview", "Rollout Guard", OVERVIEW, every),
        "rollout.json": dashboard("rollout-one", "Rollout Guard: one rollout", ONE_ROLLOUT, one),
    }


def main() -> int:
    """Write or check the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not fresh")
    check = parser.parse_args().check
    stale = []
    for name, made in dashboards().items():
        text, path = json.dumps(made, indent=1, ensure_ascii=False) + "\n", INTO / name
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"not fresh: {', '.join(stale)}; run python scripts/write_dashboards.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
