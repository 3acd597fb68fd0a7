"""Settings: one precedence, every one documented, every problem named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.errors import InvalidInput
from rollout_server.settings import Settings, load


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", *Settings.model_fields):
        monkeypatch.delenv(f"ROLLOUT_{name.upper()}", raising=False)


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rollout.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(**arguments: object) -> list[str]:
    file = arguments.pop("file", None)
    with pytest.raises(InvalidInput) as caught:
        load(arguments, file if isinstance(file, Path) else None)
    return [str(problem) for problem in caught.value.problems]


def test_an_option_beats_the_variable_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toml(tmp_path, 'listen = "127.0.0.1:3"\nlog_level = "error"\nstreams_max = 3\n')
    monkeypatch.setenv("ROLLOUT_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("ROLLOUT_LOG_LEVEL", "warning")
    settings = load({"listen": "127.0.0.1:1"}, file)
    assert (settings.listen, settings.log_level, settings.streams_max, settings.hello_within_ms) == (
        "127.0.0.1:1",
        "warning",
        3,
        5_000,
    )


def test_the_file_may_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLOUT_SETTINGS", str(toml(tmp_path, "streams_max = 7\n")))
    assert load().streams_max == 7


def test_an_option_that_was_not_given_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLOUT_STREAMS_MAX", "7")
    assert load({"streams_max": None}).streams_max == 7


def test_every_setting_is_documented() -> None:
    """`rollout serve --help` and the manual are made of these sentences."""
    assert [name for name, field in Settings.model_fields.items() if not (field.description or "").strip()] == []


def test_the_manual_names_every_setting() -> None:
    manual = (Path(__file__).resolve().parents[3] / "docs" / "server.md").read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"`{name}`" not in manual] == []


@pytest.mark.parametrize("value", ["production,staging", "production, staging"])
def test_environments_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ROLLOUT_ENVIRONMENTS", value)
    assert load().environments == ("production", "staging")


def test_environments_are_a_list_in_the_file(tmp_path: Path) -> None:
    assert load(file=toml(tmp_path, 'environments = ["a", "b"]\n')).environments == ("a", "b")


@pytest.mark.parametrize("names", ["", "Production", "a,a", "a b", "../etc", "a,", "x" * 129, "ünï"])
def test_names_that_could_be_confused_are_refused(names: str) -> None:
    assert any("environment" in line for line in problems(environments=names))


def test_every_problem_is_told_at_once_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened, where, and what to do next."""
    monkeypatch.setenv("ROLLOUT_STREAMS_MAX", "many")
    file = toml(tmp_path, 'lissten = "x"\nhello_within_ms = -1\n')
    lines = "\n".join(problems(listen="7070", file=file))
    assert "option --listen: listen: '7070' is not host:port" in lines
    assert "variable ROLLOUT_STREAMS_MAX: streams_max" in lines
    assert f"{file}: hello_within_ms" in lines
    assert f"{file}: lissten: there is no such setting" in lines


def test_a_file_that_is_missing_or_is_no_toml_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be read" in problems(file=tmp_path / "absent.toml")[0]
    file = toml(tmp_path, "= nonsense")
    assert str(file) in problems(file=file)[0]


@pytest.mark.parametrize("address", ["0.0.0.0:7070", "[::]:7070", "10.0.0.1:7070", "flags.example:7070"])
def test_plaintext_off_loopback_must_be_asked_for_by_name(address: str, tmp_path: Path) -> None:
    """No plaintext off loopback unless told so (S5)."""
    assert "clear text" in problems(listen=address)[0]
    assert load({"listen": address, "insecure_listen": True}).listen == address
    assert load({"listen": address, "tls_cert": tmp_path / "c", "tls_key": tmp_path / "k"}).listen == address


def test_half_a_key_pair_is_refused(tmp_path: Path) -> None:
    assert "go together" in problems(tls_cert=tmp_path)[0]
    assert "go together" in problems(tls_key=tmp_path)[0]
    assert "needs TLS" in problems(tls_client_ca=tmp_path)[0]


def test_settings_do_not_change_under_way() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().listen = "127.0.0.1:1"


LISTS = ("channel_allow_private", "channel_commands", "channel_services", "channel_secrets")


def test_channels_may_do_nothing_unless_they_are_told() -> None:
    """Deny by default: whoever writes a channel is not whoever runs the server."""
    settings = load()
    assert [getattr(settings, name) for name in LISTS] == [()] * 4
    assert (settings.notifications, settings.notification_link) == (True, "")


@pytest.mark.parametrize("name", LISTS)
def test_what_channels_may_do_is_listed(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert getattr(load({name: "one, two.internal"}), name) == ("one", "two.internal")
    assert getattr(load(file=toml(tmp_path, f'{name} = ["one"]\n')), name) == ("one",)
    monkeypatch.setenv(f"ROLLOUT_{name.upper()}", "")
    assert getattr(load(), name) == ()
    assert any(name in line for line in problems(**{name: "one,,two"}))


@pytest.mark.parametrize("value", ["10.0.0.0/8", "10.1.2.3", "::1", "fd00::/8", "hooks.internal", "Hooks-1.internal."])
def test_exceptions_from_public_are_hosts_and_networks(value: str) -> None:
    assert load({"channel_allow_private": value}).channel_allow_private == (value,)


@pytest.mark.parametrize("value", ["http://x", "10.0.0.0/99", "a b", "-x", "*.internal", "*"])
def test_exceptions_that_would_except_nothing_are_refused(value: str) -> None:
    assert any("neither a host nor a network" in line for line in problems(channel_allow_private=value))


def test_a_link_is_a_url_with_known_words() -> None:
    good = "https://look.example.com/{environment}/{rollout}/{run}?flag={flag}"
    assert load({"notification_link": good}).notification_link == good
    for bad in ("look.example.com", "https://x/{unit}", "https://x/{", "javascript:alert(1)", "https://x/ y"):
        assert any("is no URL with any of" in line for line in problems(notification_link=bad))


@pytest.mark.parametrize("url", ["http://prometheus:9090", "https://example.com/prometheus/", "http://[::1]:9090"])
def test_prometheus_is_named_by_its_root(url: str) -> None:
    """With a path where it has one."""
    assert load({"prometheus_url": url}).prometheus == (url, "", 3_000)


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://prometheus", "http://", "http://a/?b=c", "http://a/#b", "http://me:s3cret@a"]
)
def test_what_is_no_root_of_a_prometheus_is_refused(url: str) -> None:
    """And a password in it is not repeated."""
    with pytest.raises(InvalidInput) as refused:
        load({"prometheus_url": url})
    (problem,) = refused.value.problems
    assert problem.path == "prometheus_url"
    assert "s3cret" not in str(problem)


def test_a_token_for_prometheus_never_travels_in_clear_text() -> None:
    """Off this machine it takes https."""
    token = {"prometheus_token_env": "PROMETHEUS_TOKEN"}
    with pytest.raises(InvalidInput, match="clear text"):
        load({"prometheus_url": "http://prometheus:9090", **token})
    for url in ("https://prometheus:9090", "http://localhost:9090", "http://[::1]:9090", ""):
        assert load({"prometheus_url": url, **token}).prometheus_token_env == "PROMETHEUS_TOKEN"


RELAY = {"upstream": "127.0.0.1:7070", "upstream_token": "rg_x"}


def test_a_relay_is_told_whom_it_follows() -> None:
    """Its token is never shown."""
    settings = load(RELAY)
    assert (settings.upstream, settings.upstream_is_encrypted) == ("127.0.0.1:7070", False)
    assert "rg_x" not in repr(settings)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"upstream_token": "rg_x"}, "mean nothing without upstream"),
        ({"upstream": "127.0.0.1:7070"}, "rollout token create --role relay"),
        ({**RELAY, "redis_url": "redis://h"}, "no store"),
        ({**RELAY, "environments": "a,b"}, "a relay for each"),
        ({**RELAY, "upstream_tls_cert": "x.pem"}, "go together"),
        ({**RELAY, "upstream": "far.example.com:7070"}, "clear text"),
    ],
)
def test_a_relay_that_cannot_be_is_refused(options: dict[str, object], why: str) -> None:
    (problem,) = problems(**options)
    assert why in problem


@pytest.mark.parametrize("how", [{"upstream_tls": True}, {"upstream_tls_ca": "ca.pem"}, {"upstream_insecure": True}])
def test_an_upstream_far_away_is_spoken_to_in_secret_or_by_order(how: dict[str, object]) -> None:
    settings = load({**RELAY, "upstream": "far.example.com:7070", **how})
    assert settings.upstream_is_encrypted is ("upstream_insecure" not in how)
