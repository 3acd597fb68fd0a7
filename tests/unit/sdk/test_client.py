"""The client without a server; tests/e2e has the rest."""

import asyncio
import copy
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rollout_sdk
from rollout_sdk import Client, Context, Corrupt, InvalidSettings, Reason
from rollout_sdk.wire.snapshot import pack
from tests.doubles.delivery_server import record
from tests.small_rules import boolean, broken, position

USER = Context("u")
FILE = pack(position(4), [record(boolean("a"), 4), record(broken(boolean("b")), 4)], ())


def test_an_offline_client_decides_by_a_file(tmp_path: Path) -> None:
    """From a path or from bytes; what cannot be read in it is quarantined."""
    path = tmp_path / "rules"
    path.write_bytes(FILE)
    for client in (Client.offline(path), Client.offline(str(path)), Client.offline(FILE)):
        assert client.enabled("a", USER) is True
        assert not client.decide("a", USER).stale
        assert client.status().quarantined.keys() == {"b"}
        assert client.wait_until_ready(0)
        client.close()


def test_an_offline_client_says_how_old_its_file_is() -> None:
    """Since it was written; where the file does not say, nobody knows."""
    an_hour_ago_ms = time.time_ns() // 1_000_000 - 3_600_000
    dated = Client.offline(pack(position(4), [record(boolean("a"), 4)], (), saved_at_ms=an_hour_ago_ms))
    age_ms = dated.decide("a", USER).confirmed_ms_ago
    assert age_ms is not None
    assert age_ms >= 3_600_000
    assert Client.offline(FILE).decide("a", USER).confirmed_ms_ago is None


def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    """Naming a file outright means wanting it."""
    path = tmp_path / "rules"
    path.write_bytes(FILE[:-1])
    with pytest.raises(Corrupt, match=r"rules: the file is torn.*rollout export"):
        Client.offline(path)
    with pytest.raises(FileNotFoundError):
        Client.offline(tmp_path / "gone")


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_stays_in_its_process(duplicate: Callable[[object], object]) -> None:
    """Who hands one to a pool of spawned processes reads what to do, not which lock cannot be pickled."""
    with Client.offline(FILE) as client, pytest.raises(TypeError, match=r"Client\.from_env"):
        duplicate(client)


def test_settings_that_cannot_be_used_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misconfigured service does not start, instead of serving defaults."""
    with pytest.raises(InvalidSettings, match="unencrypted"):
        Client("flags.example.com:7070", token="secret")
    monkeypatch.setenv("ROLLOUT_SERVER", "flags.example.com:7070")
    with pytest.raises(InvalidSettings, match="unencrypted"):
        Client.from_env()


def test_before_rules_the_default_is_served(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the default is, it comes back."""
    caplog.set_level(logging.CRITICAL, "rollout_sdk")
    with Client("127.0.0.1:9") as client:
        assert client.enabled("a", USER, default=True) is True
        assert client.string("a", USER, default="x") == "x"
        assert client.integer("a", USER, default=3) == 3
        assert client.number("a", USER, default=0.5) == 0.5
        assert client.json("a", USER, default=[1]) == [1]
        assert client.decide("a", USER).reason is Reason.NOT_READY
        assert client.decide_all(USER) == {}
        assert client.status().revision == 0
        assert "not connected" in repr(client)


async def test_ready_does_not_hold_up_the_loop_when_time_runs_out(caplog: pytest.LogCaptureFixture) -> None:
    """It answers False, and forgets who asked."""
    caplog.set_level(logging.CRITICAL, "rollout_sdk")
    async with Client("127.0.0.1:9") as client:
        assert await client.ready(0) is False
        assert client._runtime._readiness._awaiting == []
        waiting = asyncio.create_task(client.ready())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert client._runtime._readiness._awaiting == []


class Loud(Client):
    """A client that somebody laid something over."""

    def enabled(self, flag: str, context: Context, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - as the client has it
        return not super().enabled(flag, context, default)


def test_a_client_may_be_inherited_from_and_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As callers and their tests do; also where the engine is compiled, whose classes know none of this."""
    client = Loud.offline(FILE)
    assert [client.enabled("a", USER) for _ in range(2)] == [False, False]
    assert client.decide("a", USER).value is True
    monkeypatch.setattr(Client, "enabled", lambda _self, flag, _context: f"patched {flag}")
    plain = Client.offline(FILE)
    assert plain.enabled("a", USER) == "patched a"  # type: ignore[comparison-overlap] # what a test may do


def test_the_public_surface_is_what_it_says() -> None:
    """`__all__` exists, and the version is the distribution's."""
    assert all(hasattr(rollout_sdk, name) for name in rollout_sdk.__all__)
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{rollout_sdk.__version__}"' in project


def test_importing_loads_neither_grpc_nor_protobuf() -> None:
    """Nor does making an offline-free object graph: the stream's thread does."""
    program = (
        "import sys, rollout_sdk, rollout_sdk.engine\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules} & {'grpc', 'google', 're2', 'asyncio', 'ssl'}))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
