"""The page of figures and the compiled build say what there is; the figures themselves are `make bench`'s."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.sdk.environments import LOCKS, versions
from benchmarks.sdk.scenarios import COMPILED, OURS, PEERS, SCENARIOS
from benchmarks.sdk.table import PAGE, rows
from benchmarks.sdk.world import COHORT, FIVE, PLAIN, SPLIT, Flag, fleet, users, wrong, wrong_at_once

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json
from hatchling.builders.wheel import WheelBuilder
from scripts.compile_engine import CompileEngine
builder = WheelBuilder(".")
hook = CompileEngine(".", {}, builder.config, builder.metadata, "nowhere", "wheel")
data = {"force_include": {}, "pure_python": True}
hook.initialize("standard", data)
print(json.dumps([data, hook.dependencies()]))
"""


@pytest.mark.parametrize("who", [OURS, COMPILED])
def test_the_tables_have_a_row_for_every_scenario(who: str) -> None:
    assert rows(PAGE, who) == [scenario.title for scenario in SCENARIOS]


def test_every_peer_is_locked_by_hashes_and_has_a_module() -> None:
    assert set(versions()) == set(PEERS)
    for peer in PEERS:
        lock = (LOCKS / f"{peer}.lock").read_text(encoding="utf-8")
        assert re.findall(r"^[a-z0-9_.-]+==[^\n]+[^\\]$", lock, re.MULTILINE) == []
        assert (LOCKS.parent / "peers" / f"{peer}.py").is_file()


@pytest.mark.parametrize("flag", [PLAIN, FIVE, COHORT, SPLIT])
def test_wrong_answers_are_found_before_anything_is_timed(flag: Flag) -> None:
    """One wrong user, or a share that is off."""
    everyone = users()
    rights = [flag.right(user) for user in everyone]
    answers = [index % 4 == 0 if right is None else right for index, right in enumerate(rights)]
    assert wrong(flag, answers) == ""
    assert wrong(flag, [not answer for answer in answers]) != ""
    if None not in rights:
        assert wrong(flag, [not answers[0], *answers[1:]]) != ""


def test_answers_to_all_flags_at_once_are_checked_too() -> None:
    flags, user = fleet(1000), users()[0]
    rights = [flag.right(user) for flag in flags]
    answers = [index % 20 < 5 if right is None else right for index, right in enumerate(rights)]
    assert wrong_at_once(flags, user, answers) == ""
    assert wrong_at_once(flags, user, [True] * len(flags)) != ""


def test_wheels_are_pure_python_unless_asked_otherwise() -> None:
    """The hook does nothing without the variable."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True, env={})
    assert json.loads(ran.stdout) == [{"force_include": {}, "pure_python": True}, []]


def test_what_is_compiled_is_there() -> None:
    from scripts.compile_engine import MODULES

    missing = [name for name in MODULES if not (ROOT / "sdk" / "rollout_sdk" / "engine" / f"{name}.py").is_file()]
    assert missing == []
    assert list(MODULES) == sorted(MODULES)


def test_the_engine_compiles_where_nothing_else_is_installed() -> None:
    """`python -m build` makes an environment of its own, without the types of gRPC and protobuf."""
    from scripts.compile_engine import LENIENT, MODULES

    paths = [f"sdk/rollout_sdk/engine/{name}.py" for name in MODULES]
    # mmh3, which it has, is what returns Any here.
    alone = ["--no-site-packages", "--no-warn-return-any", f"--cache-dir={os.devnull}"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *alone, *LENIENT, *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
