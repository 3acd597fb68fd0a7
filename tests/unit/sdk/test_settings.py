"""Settings of one client."""

from pathlib import Path

import pytest

from rollout_sdk.errors import InvalidSettings
from rollout_sdk.settings import ENVIRONMENT, Settings, is_local


def test_defaults_need_nothing() -> None:
    """A developer's machine works without a word."""
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.target == "localhost:7070"
    assert not settings.uses_tls


def test_every_variable_reaches_its_setting() -> None:
    """The documented names, all of them."""
    text = {name: f"/{name}" for name in ENVIRONMENT if name not in {"tls", "allow_plaintext", "target"}}
    environment = {ENVIRONMENT[name]: value for name, value in text.items()}
    environment |= {"ROLLOUT_SERVER": "flags:7070", "ROLLOUT_TLS": "yes", "ROLLOUT_ALLOW_PLAINTEXT": "0"}
    assert Settings.from_env(environment) == Settings(target="flags:7070", tls=True, **text)  # type: ignore[arg-type] # text settings only


def test_a_relative_path_stays_where_it_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon goes to another directory, and reads certificates at every dial. In one that is gone, nothing breaks."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(snapshot_path="rules", overrides_path="./overrides", tls_ca="ca.pem")
    assert settings.snapshot_path == str(tmp_path / "rules")
    assert settings.overrides_path == str(tmp_path / "overrides")
    assert settings.tls_ca == str(tmp_path / "ca.pem")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert Settings(snapshot_path="rules").snapshot_path == "rules"


def test_what_is_given_outright_wins() -> None:
    """Code over environment."""
    assert Settings.from_env({"ROLLOUT_SERVICE": "a"}, service="b").service == "b"


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("localhost:7070", True),
        ("127.0.0.1:7070", True),
        ("127.9.9.9:1", True),
        ("[::1]:7070", True),
        ("unix:/run/rollout", True),
        ("flags.example.com:7070", False),
        ("10.0.0.1:7070", False),
        ("localhost.example.com:7070", False),
        ("127.0.0.1.example.com:7070", False),
        ("dns:///127.0.0.1:7070", False),
        ("", False),
    ],
)
def test_only_this_machine_is_local(target: str, local: bool) -> None:  # noqa: FBT001 - a column of the table
    """A name that only looks like loopback is another machine."""
    assert is_local(target) is local


def test_no_token_leaves_this_machine_unencrypted_by_accident() -> None:
    """Plaintext to another machine must be asked for by name."""
    with pytest.raises(InvalidSettings, match="unencrypted; set tls"):
        Settings("flags.example.com:7070", token="secret")
    assert not Settings("flags.example.com:7070", allow_plaintext=True).uses_tls
    assert Settings("flags.example.com:7070", tls=True).uses_tls
    assert Settings("flags.example.com:7070", tls_ca="/ca.pem").uses_tls


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({"ROLLOUT_TLS": "maybe"}, "ROLLOUT_TLS: 'maybe' is neither yes nor no"),
        ({"ROLLOUT_TOKEN": "two\nlines"}, "token: it is empty or not printable"),
        ({"ROLLOUT_TLS_CERT": "/c.pem"}, "tls_key: it is missing"),
        ({"ROLLOUT_TLS_KEY": "/k.pem"}, "tls_cert: it is missing"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(environment: dict[str, str], error: str) -> None:
    """At start-up, with what to do; the secret is not repeated."""
    with pytest.raises(InvalidSettings, match=error) as caught:
        Settings.from_env(environment)
    assert "two" not in str(caught.value)


def test_impossible_numbers_are_refused() -> None:
    """A duration is a positive number of milliseconds."""
    with pytest.raises(InvalidSettings, match="backoff_max_ms: 0"):
        Settings(backoff_max_ms=0)
    with pytest.raises(InvalidSettings, match="target"):
        Settings("")


def test_the_token_is_not_shown() -> None:
    """Settings end up in logs."""
    assert "secret" not in repr(Settings(token="secret"))


@pytest.mark.parametrize(
    "target",
    ["localhost", "localhost:", "localhost:99999", "localhost:0", "localhost:http", "::1:7070", ":7070", "unix:"],
)
def test_a_target_that_grpc_would_read_otherwise_is_refused(target: str) -> None:
    """No port is guessed or wrapped around, and "::1:7070" never carries the token in clear to another machine."""
    with pytest.raises(InvalidSettings, match="is not host:port"):
        Settings(target=target, token="rg_x")


@pytest.mark.parametrize("target", ["localhost:7070", "127.0.0.1:1", "[::1]:65535", "unix:/run/rollout.sock"])
def test_a_target_is_host_and_port_or_a_socket(target: str) -> None:
    assert Settings(target=target).target == target


def test_a_service_name_can_be_told() -> None:
    """A variable that is no UTF-8 would otherwise keep the client from ever greeting its server."""
    with pytest.raises(InvalidSettings, match="service"):
        Settings(service="\udcff")
    with pytest.raises(InvalidSettings, match="service"):
        Settings.from_env({"ROLLOUT_SERVICE": "web\x1b[2J"})
