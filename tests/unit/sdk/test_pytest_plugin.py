"""The fixtures, in a test session of their own as a user has it."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from rollout_sdk import Client, Context

pytestmark = pytest.mark.rollout({"a": True, "n": 1})

def test_values_of_the_mark(rollout_flags):
    assert rollout_flags.enabled("a", Context("u"))

@pytest.mark.rollout({"n": 2}, files=["flags.yaml"], environment="staging")
def test_the_nearest_mark_wins_and_files_are_read(rollout_flags):
    assert rollout_flags.integer("n", Context("u")) == 2
    assert not rollout_flags.enabled("filed", Context("u"), default=True)
    rollout_flags.set({"n": 3})

def test_nothing_is_left_of_the_test_before(rollout_flags):
    assert rollout_flags.integer("n", Context("u")) == 1

def test_a_server(rollout_server, monkeypatch):
    for name, value in rollout_server.variables.items():
        monkeypatch.setenv(name, value)
    with Client.from_env() as client:
        assert client.wait_until_ready(20)
        assert client.enabled("a", Context("u"))
        rollout_server.kill("a")
        assert rollout_server.wait_until_in_force()
        assert not client.enabled("a", Context("u"), default=True)
"""
FLAGS = """
kind: Flag
metadata: {key: filed}
spec: {default: "on"}
environments: {staging: {spec: {default: "off"}}}
"""


def test_the_fixtures_are_there_by_themselves(pytester: pytest.Pytester) -> None:
    """No conftest, no import; the mark is known although marks are strict."""
    pytester.makepyfile(TESTS)
    pytester.maketxtfile(flags="x")
    (pytester.path / "flags.yaml").write_text(FLAGS, encoding="utf-8")
    result = pytester.runpytest_subprocess(
        "--strict-markers", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio"
    )
    result.assert_outcomes(passed=4)
