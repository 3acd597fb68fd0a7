"""`import rollout_sdk` stays light: a caller pays for what it uses."""

import subprocess
import sys

import pytest

UNWANTED = ("grpc", "re2", "rollout_server", "click", "rich", "structlog")


@pytest.mark.parametrize("module", ["rollout_sdk", "rollout_sdk.engine"])
def test_import_loads_neither_grpc_nor_the_server(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & set({UNWANTED!r})))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_the_plugin_of_pytest_costs_a_session_that_does_not_use_it_next_to_nothing() -> None:
    """It is loaded by every pytest beside this distribution; protobuf and the rest come with a fixture."""
    program = "import sys, rollout_sdk.pytest_plugin; print(*sorted(set(sys.modules) & set(sys.argv[1:])))"
    unwanted = (*UNWANTED, "google.protobuf", "rollout_sdk.testing")
    result = subprocess.run([sys.executable, "-c", program, *unwanted], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


@pytest.mark.parametrize(
    ("module", "needs"),
    [("openfeature", "openfeature"), ("otel", "opentelemetry"), ("prometheus", "prometheus_client")],
)
def test_what_needs_an_extra_names_the_install_to_type(module: str, needs: str) -> None:
    """And leaves the rest of the SDK as it is."""
    program = f"import sys; sys.modules[{needs!r}] = None; import rollout_sdk; import rollout_sdk.{module}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1].endswith(f"type: pip install 'rollout-guard[{module}]'")
