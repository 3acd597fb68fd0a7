"""Who may import whom: the contracts hold, and each of them can break."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]

# A tree with one module per room; a case adds one import to it.
ROOMS = (
    *(f"rollout_sdk/{name}.py" for name in ("client", "cache", "stream", "reporter", "snapshot_file")),
    *(f"rollout_sdk/{name}.py" for name in ("settings", "errors", "testing", "openfeature")),
    *(f"rollout_sdk/{name}/__init__.py" for name in ("engine", "wire", "wire/v1")),
    "rollout_sdk/wire/v1/delivery_pb2.py",
    "rollout_sdk/engine/decide.py",
    *(f"rollout_server/{name}.py" for name in ("__main__", "launcher", "main", "ports", "settings", "errors")),
    *(f"rollout_server/{name}/__init__.py" for name in ("adapters", "api", "app", "cli", "console", "domain")),
    "rollout_server/adapters/sqlite_journal.py",
    "rollout_server/app/apply.py",
    "rollout_server/cli/serve.py",
    "rollout_server/cli/status.py",
    "rollout_server/domain/plan.py",
)

# contract, the module that breaks it, the import it must not make
VIOLATIONS = [
    ("SDK layers", "rollout_sdk/engine/decide.py", "rollout_sdk.wire"),
    ("SDK layers", "rollout_sdk/cache.py", "rollout_sdk.stream"),
    ("SDK layers", "rollout_sdk/newcomer.py", "rollout_sdk.engine"),
    ("Server layers", "rollout_server/domain/plan.py", "rollout_server.app.apply"),
    ("Server layers", "rollout_server/api/__init__.py", "rollout_server.console"),
    ("Server layers", "rollout_server/newcomer.py", "rollout_server.domain"),
    ("No cycles between siblings", "rollout_sdk/wire/v1/delivery_pb2.py", "rollout_sdk.client"),
    ("PURE rooms touch nothing outside", "rollout_sdk/engine/decide.py", "time"),
    ("PURE rooms touch nothing outside", "rollout_server/domain/plan.py", "rollout_sdk.wire"),
    ("PURE rooms touch nothing outside", "rollout_server/errors.py", "random"),
    ("The SDK never imports the server", "rollout_sdk/testing.py", "rollout_server.domain.plan"),
    ("Of the SDK, the server imports only engine and wire", "rollout_server/cli/status.py", "rollout_sdk.client"),
    ("Of the SDK, the server imports only engine and wire", "rollout_server/main.py", "rollout_sdk"),
    ("Generated code stays behind the wire", "rollout_server/app/apply.py", "rollout_sdk.wire.v1.delivery_pb2"),
    ("Generated code stays behind the wire", "rollout_sdk/cache.py", "rollout_sdk.wire.v1.delivery_pb2"),
    ("Only main builds adapters", "rollout_server/api/__init__.py", "rollout_server.adapters.sqlite_journal"),
    (
        "Adapters see ports and what ports speak of",
        "rollout_server/adapters/sqlite_journal.py",
        "rollout_server.app.apply",
    ),
    (
        "The command line speaks gRPC; only serve and dev start a server",
        "rollout_server/cli/status.py",
        "rollout_server.main",
    ),
    (
        "The command line speaks gRPC; only serve and dev start a server",
        "rollout_server/cli/serve.py",
        "rollout_server.api",
    ),
    ("grpc stays at the borders", "rollout_server/app/apply.py", "grpc"),
    ("grpc stays at the borders", "rollout_sdk/cache.py", "grpc"),
    ("Storage stays in adapters", "rollout_server/app/apply.py", "sqlite3"),
    ("Terminal tools stay in the command line", "rollout_server/api/__init__.py", "click"),
]

# Imports that the rooms are built on; no contract may mind them.
ALLOWED = """
rollout_sdk/client.py: rollout_sdk.stream rollout_sdk.reporter rollout_sdk.cache rollout_sdk.settings grpc
rollout_sdk/stream.py: rollout_sdk.wire rollout_sdk.wire.v1.delivery_pb2 grpc
rollout_sdk/wire/__init__.py: rollout_sdk.wire.v1.delivery_pb2 rollout_sdk.engine.decide
rollout_server/cli/serve.py: rollout_server.main rollout_server.settings click
rollout_server/main.py: rollout_server.adapters.sqlite_journal rollout_server.api rollout_server.console grpc
rollout_server/api/__init__.py: rollout_server.app.apply rollout_sdk.wire.v1.delivery_pb2 rollout_server.ports grpc
rollout_server/adapters/sqlite_journal.py: rollout_server.ports rollout_server.domain.plan sqlite3 time
rollout_server/app/apply.py: rollout_server.domain.plan rollout_server.ports rollout_sdk.wire rollout_server.errors
rollout_server/domain/plan.py: rollout_sdk.engine.decide rollout_server.errors
"""


def lint(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--config", str(CONFIG), "--no-cache", "--no-logo", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for room in ("rollout_sdk/__init__.py", "rollout_server/__init__.py", *ROOMS):
        path = tmp_path / room
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for line in ALLOWED.strip().splitlines():
        module, _, imports = line.partition(": ")
        (tmp_path / module).write_text("".join(f"import {name}\n" for name in imports.split()), encoding="utf-8")
    return tmp_path


def test_the_contracts_hold() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_the_rooms_are_built_on_is_allowed(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "module", "imported"), VIOLATIONS)
def test_a_contract_breaks_when_it_should(tree: Path, contract: str, module: str, imported: str) -> None:
    with (tree / module).open("a", encoding="utf-8") as file:
        file.write(f"import {imported}\n")
    result = lint(tree)
    assert f"{contract} BROKEN" in result.stdout, result.stdout + result.stderr


def test_every_contract_is_seen_to_break() -> None:
    assert {contract["name"] for contract in CONTRACTS} == {contract for contract, _, _ in VIOLATIONS}
