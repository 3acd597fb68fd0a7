"""Where a command goes: options, then ROLLOUT_*, then a context."""

from pathlib import Path

import pytest

from rollout_server.cli import context_file
from rollout_server.cli.context_file import ContextFile, SavedContext
from rollout_server.cli.failures import CommandFailed, Exit
from rollout_server.cli.target import Choice, Target, chosen_environment, is_loopback, resolve

STAGING = SavedContext("localhost:1", "staging", token="rg_s")
PRODUCTION = SavedContext("localhost:2", "production", token="rg_p")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"ROLLOUT_CONFIG": str(tmp_path / "config.toml")}


def save(environ: dict[str, str], current: str = "", **contexts: SavedContext) -> None:
    context_file.write(Path(environ["ROLLOUT_CONFIG"]), ContextFile(current, contexts))


def told(target: Target) -> tuple[str, str, str, str]:
    return target.server, target.token, target.environment, target.context


def test_with_nothing_said_it_is_this_machine(environ: dict[str, str]) -> None:
    assert told(resolve(Choice(), environ)) == ("localhost:7070", "", "", "")


def test_an_option_beats_a_variable_beats_a_context(environ: dict[str, str]) -> None:
    save(environ, "p", p=PRODUCTION)
    assert resolve(Choice(), environ).token == "rg_p"
    environ["ROLLOUT_TOKEN"] = "rg_variable"
    assert resolve(Choice(), environ).token == "rg_variable"
    assert resolve(Choice(token="rg_option"), environ).token == "rg_option"


def test_a_token_file_as_an_option_beats_a_token_as_a_variable(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("rg_file\n", encoding="utf-8")
    file.chmod(0o600)
    environ["ROLLOUT_TOKEN"] = "rg_variable"
    assert resolve(Choice(token_file=str(file)), environ).token == "rg_file"


def test_the_only_context_is_used_and_a_chosen_one_among_several(environ: dict[str, str]) -> None:
    save(environ, p=PRODUCTION)
    assert told(resolve(Choice(), environ)) == ("localhost:2", "rg_p", "production", "p")
    save(environ, "s", p=PRODUCTION, s=STAGING)
    assert resolve(Choice(), environ).context == "s"


def test_several_environments_and_none_chosen_is_refused_naming_them(environ: dict[str, str]) -> None:
    save(environ, p=PRODUCTION, s=STAGING)
    with pytest.raises(CommandFailed, match="production, staging") as failed:
        resolve(Choice(), environ)
    assert failed.value.exit_code is Exit.USAGE


def test_an_environment_chooses_its_context(environ: dict[str, str]) -> None:
    save(environ, "s", p=PRODUCTION, s=STAGING)
    assert resolve(Choice(environment="production"), environ).context == "p"
    environ["ROLLOUT_ENVIRONMENT"] = "production"
    assert resolve(Choice(), environ).context == "p"


@pytest.mark.parametrize(
    ("choice", "message", "hint"),
    [
        (Choice(environment="prodution"), "no context in", "did you mean production?"),
        (Choice(context="q"), "there is no context q", "rollout context list"),
        (Choice(context="s", environment="production"), "is for environment staging", "--environment production"),
        (Choice(tls_cert="a.pem"), "both --tls-cert and --tls-key", ""),
        (Choice(token="two words"), "no token has", "one line"),
        (Choice(token_file="/nonexistent/token"), "cannot be read", ""),
    ],
)
def test_what_cannot_be_is_refused(environ: dict[str, str], choice: Choice, message: str, hint: str) -> None:
    save(environ, "s", p=PRODUCTION, s=STAGING)
    with pytest.raises(CommandFailed, match=message) as failed:
        resolve(choice, environ)
    assert hint in failed.value.hint
    assert failed.value.exit_code is Exit.USAGE


def test_two_contexts_of_one_environment_ask_for_one(environ: dict[str, str]) -> None:
    save(environ, a=PRODUCTION, b=PRODUCTION)
    with pytest.raises(CommandFailed, match="a, b"):
        resolve(Choice(environment="production"), environ)


def test_a_current_that_is_gone_is_named(environ: dict[str, str]) -> None:
    save(environ, "gone", p=PRODUCTION)
    with pytest.raises(CommandFailed, match="current = 'gone'"):
        resolve(Choice(), environ)


def test_a_saved_token_never_goes_to_another_server(environ: dict[str, str]) -> None:
    """Whoever names a server names its token too, or names the context."""
    save(environ, "p", p=PRODUCTION)
    assert told(resolve(Choice(server="localhost:9"), environ)) == ("localhost:9", "", "", "")
    assert resolve(Choice(server="localhost:9", context="p"), environ).token == "rg_p"


def test_others_may_not_read_the_token_file(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("rg_file", encoding="utf-8")
    file.chmod(0o644)
    assert resolve(Choice(token_file=str(file)), environ).warnings == (
        f"others can read the token file {file}; chmod 600 {file}",
    )
    file.write_text("", encoding="utf-8")
    with pytest.raises(CommandFailed, match="holds no token"):
        resolve(Choice(token_file=str(file)), environ)


@pytest.mark.parametrize(
    ("choice", "is_secure"),
    [
        (Choice(server="localhost:1"), False),
        (Choice(server="127.9.9.9:1"), False),
        (Choice(server="[::1]:1"), False),
        (Choice(server="unix:/tmp/s"), False),
        (Choice(server="localhost:1", tls_ca="ca.pem"), True),
        (Choice(server="localhost:1", tls=True), True),
        (Choice(server="https://localhost:1"), True),
        (Choice(server="example.com:1"), True),
        (Choice(server="10.0.0.1:1", allow_plaintext=True), False),
        (Choice(server="localhost.example.com:1"), True),
        (Choice(server="127.0.0.1.example.com:1"), True),
    ],
)
def test_no_plaintext_leaves_this_machine_unless_told_so(
    environ: dict[str, str], choice: Choice, *, is_secure: bool
) -> None:
    assert resolve(choice, environ).is_secure is is_secure


def test_a_context_may_allow_plaintext(environ: dict[str, str]) -> None:
    save(environ, c=SavedContext("10.0.0.1:1", allow_plaintext="yes"))
    assert not resolve(Choice(), environ).is_secure


def test_an_environment_is_chosen_without_a_server_or_a_token(environ: dict[str, str], tmp_path: Path) -> None:
    """What needs no server must not fail over a token that cannot be read; of several contexts none is guessed."""
    assert chosen_environment(Choice(), environ) == ""
    save(environ, p=SavedContext("localhost:2", "production", token_file=str(tmp_path / "gone")))
    environ["ROLLOUT_SERVER"] = "elsewhere:1"
    assert chosen_environment(Choice(), environ) == "production"
    assert chosen_environment(Choice(environment="moon"), environ) == "moon"
    save(environ, p=PRODUCTION, s=STAGING)
    with pytest.raises(CommandFailed, match="none is chosen"):
        chosen_environment(Choice(), environ)
    assert chosen_environment(Choice(context="s"), environ) == "staging"


def test_loopback() -> None:
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0:1")


def test_the_secret_is_not_in_its_picture() -> None:
    assert "rg_p" not in repr(Target("h:1", "rg_p"))
