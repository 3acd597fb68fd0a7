"""`rollout kill --direct`: what it says, and what it does not claim."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine
from tests.real_redis import free_port
from tests.small_server import flag, world

HERE = CommandLine(environment="")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of a server that is gone."""

    async def leave() -> None:
        async with world(tmp_path / "data") as it:
            await it.admin.apply(flag("cart", "on"))

    asyncio.run(leave())
    return tmp_path / "data"


def test_it_says_what_is_written_and_that_nothing_is_proven(data: Path) -> None:
    """Exit 5: the processes are known to nobody; what to do on their hosts, and how to prove it later, are there."""
    outcome = HERE("kill", "cart", "--direct", str(data))
    assert outcome.code == 5
    assert "✔ cart is killed in the store (revision " in outcome.out
    told = " ".join(outcome.out.split())
    assert "no process was counted" in told
    assert "then prove it: rollout kill cart" in told
    assert 'put {"cart": "off"} into the overrides file' in told
    assert "undo: rollout unkill cart" in told
    assert "a server uses this store" not in told
    assert outcome.err.startswith("production · straight on ")
    again = HERE("kill", "flag/cart", "--direct", str(data), "--no-wait")
    assert again.code == 0
    assert "killed already; nothing was written" in again.out
    assert "undo" not in again.out


def test_json_has_the_fields_of_a_kill(data: Path) -> None:
    """A script need not know on which road it went; there is no certificate, and the store is named."""
    words = ("kill", "cart", "--direct", str(data), "--as", "mia@example.com", "--reason", "why", "-o", "json")
    outcome = HERE(*words)
    assert outcome.code == 5
    found = outcome.data
    assert set(found) == {"environment", "flag", "revision", "entry", "certificate", "undo", "store"}
    assert (found["environment"], found["flag"], found["certificate"]) == ("production", "cart", None)
    entry = found["entry"]
    assert entry["revision"] == found["revision"]
    assert entry["actor"].startswith("mia@example.com (direct, as ")
    assert (entry["action"], entry["reason"], entry["undo"]) == ("kill", "why", "rollout unkill cart")
    assert entry["changes"][0]["resource"] == "flag/cart"
    assert [field["path"] for field in entry["changes"][0]["fields"]] == ["status.killed"]
    assert HERE(*words).data["entry"] is None


def test_the_environment_is_the_one_that_was_chosen(data: Path) -> None:
    """An option or a variable; one that the store does not hold is refused, with those that it does."""
    outcome = CommandLine(environment="staging")("kill", "cart", "--direct", str(data))
    assert (outcome.code, "holds production; choose with --environment" in outcome.err) == (1, True)
    assert CommandLine(environment="staging")("kill", "cart", "--direct", str(data), "-e", "production").code == 5


def test_what_is_away_leaves_the_overrides_file(tmp_path: Path) -> None:
    """Exit 9, and the last way is on the screen."""
    outcome = HERE("kill", "cart", "--direct", f"redis://127.0.0.1:{free_port()}")
    assert outcome.code == 9
    assert "does not answer" in outcome.err
    assert 'put {"cart": "off"}' in outcome.err
    assert HERE("kill", "cart", "--direct", str(tmp_path / "nowhere")).code == 1


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--direct", "http://example.com"), "no address of Redis"),
        (("--direct", "/nowhere", "--as", " "), "answers for it"),
        (("--as", "mia"), "--as goes with --direct"),
    ],
)
def test_what_is_typed_wrongly_is_usage(words: tuple[str, ...], what: str) -> None:
    """Nothing is touched."""
    outcome = HERE("kill", "cart", *words)
    assert (outcome.code, what in outcome.err) == (2, True), outcome.err


def test_a_key_of_another_request_is_a_conflict(data: Path) -> None:
    """As with a server."""
    assert HERE("kill", "cart", "--direct", str(data), "--idempotency-key", "k", "--reason", "a").code == 5
    outcome = HERE("kill", "other", "--direct", str(data), "--idempotency-key", "k")
    assert (outcome.code, "'k'" in outcome.err) == (7, True)
