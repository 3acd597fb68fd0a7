"""What the server is run with: checked against the settings and the pages, and by the tools that will read it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rollout_server.settings import Settings, load
from tests.deployed import DEPLOY, compose, dashboards, metrics_in, queries, read_yaml, rules, servers
from tests.dockerfile_replay import read_steps
from tests.real_promtool import promtool

ROOT = DEPLOY.parent
PROMETHEUS = DEPLOY / "prometheus"
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
UNIT = (DEPLOY / "rollout.service").read_text(encoding="utf-8")
EXPOSED_TENTHS_MAX = 15


def image_ports() -> list[str]:
    (exposed,) = (step.rest for step in read_steps((ROOT / "Dockerfile").read_text("utf-8")) if step.name == "EXPOSE")
    return exposed.split()


def test_two_servers_share_one_redis_and_nothing_else() -> None:
    """But for the key that signs checkpoints: each has data of its own."""
    assert len(servers()) == 2
    volumes = [volume for one in servers().values() for volume in one["volumes"]]
    assert len({volume.partition(":")[0] for volume in volumes}) == 2
    assert {volume.partition(":")[2] for volume in volumes} == {"/var/lib/rollout"}
    for one in servers().values():
        assert one["secrets"] == [{"source": "server-key", "target": "/var/lib/rollout/server-key"}]


@pytest.mark.parametrize("name", sorted(servers()))
def test_every_setting_exists_and_fits_the_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's own variables and those of the composition, together, are settings that a server starts with."""
    steps = read_steps((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    given = dict(pair.split("=", 1) for pair in steps_env(steps) if pair.startswith("ROLLOUT_")) | dict(
        servers()[name]["environment"]
    )
    assert {variable.removeprefix("ROLLOUT_").lower() for variable in given} <= {*Settings.model_fields}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = load()
    assert settings.redis_url is not None
    assert settings.metrics_public
    assert [settings.listen, settings.http_listen] == [f"0.0.0.0:{port}" for port in image_ports()]
    assert duration_s(servers()[name]["stop_grace_period"]) * 1_000 > settings.drain_within_ms


def steps_env(steps: Any) -> list[str]:
    return [pair for step in steps if step.name == "ENV" for pair in step.rest.split()]


def duration_s(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


def test_ports_agree() -> None:
    """Published ones lead to what a service listens on, from this machine alone; what Prometheus scrapes is there."""
    grpc, http = image_ports()
    for one in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))
    inside = {name: [port.rpartition(":")[2] for port in one["ports"]] for name, one in servers().items()}
    assert inside == {name: [grpc] for name in servers()}
    (job,) = read_yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    targets = [target for group in job["static_configs"] for target in group["targets"]]
    assert targets == [f"{name}:{http}" for name in servers()]
    assert all(f'job="{job["job_name"]}"' in rule["expr"] for rule in rules() if "up{" in rule["expr"])
    urls = {servers()[name]["environment"]["ROLLOUT_PROMETHEUS_URL"] for name in servers()}
    (source,) = read_yaml(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    assert urls == {source["url"]} == {"http://prometheus:9090"}


def test_every_container_is_hardened_healthy_and_pinned() -> None:
    """Read-only, without capabilities, with a health check, from an image of one version."""
    for name, one in compose()["services"].items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+(-[a-z0-9]+)?(@sha256:[0-9a-f]{64})?", one["image"]), name
    steps = read_steps((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    for image in (step.rest.split()[0] for step in steps if step.name == "FROM"):
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", image)


def test_every_volume_and_secret_that_is_used_is_there_and_every_one_is_used() -> None:
    tree = compose()
    used = [volume.split(":")[0] for one in tree["services"].values() for volume in one.get("volumes", [])]
    assert {name for name in used if not name.startswith(".")} == {*tree["volumes"]}
    for path in (name for name in used if name.startswith(".")):
        assert (DEPLOY / path).is_dir(), path
    wanted = {
        secret if isinstance(secret, str) else secret["source"]
        for one in tree["services"].values()
        for secret in one.get("secrets", [])
    }
    assert wanted == {*tree["secrets"]}
    for name, secret in tree["secrets"].items():
        assert secret["file"].removeprefix("./") in PAGE, f"the page does not say how {name} is made"
    assert "REDIS_PASSWORD" in PAGE


def test_prometheus_takes_its_configuration_and_every_rule() -> None:
    for words in (("check", "config", "prometheus.yml"), ("check", "rules", "rules.yaml")):
        done = promtool(*words, cwd=PROMETHEUS)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_time_and_not_before() -> None:
    """The cases of rules.test.yaml; and there is a case for each alert, with a moment at which nothing fires."""
    done = promtool("test", "rules", "rules.test.yaml", cwd=PROMETHEUS)
    assert done.returncode == 0, done.stdout + done.stderr
    fires: set[str] = set()
    for case in read_yaml(PROMETHEUS / "rules.test.yaml")["tests"]:
        told = [str(test["exp_samples"]) for test in case["promql_expr_test"]]
        assert "[]" in told, case["name"]
        fires |= set(re.findall(r'alertname="(\w+)"', " ".join(told)))
    assert fires == {rule["alert"] for rule in rules()}


def test_a_rule_that_is_wrong_fails_its_case(tmp_path: Path) -> None:
    """The cases are worth something: each alert, turned round, is found."""
    (tmp_path / "rules.test.yaml").write_text((PROMETHEUS / "rules.test.yaml").read_text("utf-8"), "utf-8")
    text = (PROMETHEUS / "rules.yaml").read_text(encoding="utf-8")
    for wrong in (text.replace("for: 1m", "for: 9m"), text.replace("== 0", "== 1"), text.replace("> 0", "< 0")):
        assert wrong != text
        (tmp_path / "rules.yaml").write_text(wrong, encoding="utf-8")
        assert promtool("test", "rules", "rules.test.yaml", cwd=tmp_path).returncode != 0


def test_every_alert_says_what_to_do_on_the_page_and_the_page_knows_no_other() -> None:
    """`runbook` leads to a heading of docs/deploy.md."""
    headings = {heading.lower(): heading for heading in re.findall(r"^### (Rollout\w+)$", PAGE, re.MULTILINE)}
    assert [*headings.values()] == [rule["alert"] for rule in rules()]
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/deploy.md"
        assert headings[anchor] == rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert {*rule["annotations"]} == {"summary", "description", "runbook"}


def test_dashboards_are_fresh_and_every_panel_has_its_place() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "write_dashboards.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, dashboard in dashboards().items():
        places = [
            (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
            for panel in dashboard["panels"]
            for x in range(panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["h"])
        ]
        assert len(places) == len(set(places)), f"panels of {name} overlap"
        assert all(x < 24 for x, _ in places)
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_prometheus_reads_every_query_of_every_panel(tmp_path: Path) -> None:
    """As rules of a file: whoever parses those parses the panels."""
    written = [
        f"      - {{record: 'panel:{number}', expr: {query!r}}}\n" for number, query in enumerate(queries().values())
    ]
    assert len(written) > 30
    assert all(metrics_in(query) or "up{" in query or "vector(" in query for query in queries().values())
    (tmp_path / "panels.yaml").write_text("groups:\n  - name: panels\n    rules:\n" + "".join(written), "utf-8")
    done = promtool("check", "rules", "panels.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(written)} rules found" in done.stdout


def unit_settings() -> list[tuple[str, str]]:
    lines = [line for line in UNIT.splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def test_the_unit_gives_up_all_that_the_server_does_not_need() -> None:
    """The kernel and the rest of the machine are out of its reach; its own directory is all that it writes."""
    given = dict(unit_settings())
    wanted = {
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "StateDirectory": "rollout",
        "StateDirectoryMode": "0700",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
    }
    assert {name: given[name] for name in wanted} == wanted
    assert duration_s(given["TimeoutStopSec"]) * 1_000 > Settings.model_fields["drain_within_ms"].default
    assert int(given["LimitNOFILE"]) > Settings.model_fields["streams_max"].default
    variables = [pair.partition("=")[0] for pair in given["Environment"].split()]
    ours = [name.removeprefix("ROLLOUT_").lower() for name in variables if name.startswith("ROLLOUT_")]
    assert set(ours) <= {*Settings.model_fields}


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Where there is one to ask; it also rates what the unit exposes, in tenths of 0 to 10."""
    program = shutil.which("systemd-analyze")
    known = {"Unit", "Service", "Install"}
    assert set(re.findall(r"^\[(\w+)\]$", UNIT, re.MULTILINE)) == known
    if program is None:
        return  # the test above has read it
    unit = tmp_path / "rollout.service"
    unit.write_text(UNIT.replace("/opt/rollout/bin/rollout serve", "/bin/true"), encoding="utf-8")
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rated = subprocess.run(
        [program, "security", "--offline=true", f"--threshold={EXPOSED_TENTHS_MAX}", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout
