"""`rollout context`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.cli import context_file
from tests.doubles.command_line import CommandLine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture
def contexts(path: Path) -> CommandLine:
    return CommandLine(environment="", variables={"ROLLOUT_CONFIG": str(path)})


def test_the_first_is_chosen_the_next_is_not(contexts: CommandLine, path: Path) -> None:
    first = contexts("context", "set", "p", "--server", "h:1", "-e", "production", "--token", "rg_p")
    assert first.err == f"✔ context p is saved in {path} and chosen\n"
    second = contexts("context", "set", "s", "--server", "h:2", "-e", "staging", "--token-file", "/t", "--tls")
    assert "next: rollout context use s" in second.err
    listed = contexts("context", "list")
    assert listed.out == (
        "          NAME  ENVIRONMENT  SERVER  TOKEN\n"
        "* chosen  p     production   h:1     in this file\n"
        "          s     staging      h:2     in /t\n"
    )
    assert context_file.read(path).contexts["s"].tls == "yes"
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_output_ever_holds_the_token(contexts: CommandLine) -> None:
    contexts("context", "set", "p", "--server", "h:1", "--token", "rg_p")
    for form in ("table", "wide", "json", "yaml"):
        outcome = contexts("context", "list", "-o", form)
        assert "rg_p" not in outcome.out + outcome.err


def test_choosing(contexts: CommandLine, path: Path) -> None:
    for name in ("p", "s"):
        contexts("context", "set", name, "--server", "h:1", "-e", name)
    assert contexts("context", "use", "s").err == "✔ commands go to s at h:1\n"
    assert context_file.read(path).current == "s"
    wrong = contexts("context", "use", "ss")
    assert wrong.code == 2
    assert "did you mean s?" in wrong.err


def test_setting_again_keeps_what_is_not_said_and_one_kind_of_token(contexts: CommandLine, path: Path) -> None:
    contexts("context", "set", "p", "--server", "h:1", "-e", "production", "--token", "rg_p")
    contexts("context", "set", "p", "--token-file", "/t")
    saved = context_file.read(path).contexts["p"]
    assert (saved.server, saved.environment, saved.token, saved.token_file) == ("h:1", "production", "", "/t")


def test_a_file_is_found_from_any_directory(
    contexts: CommandLine, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The context outlives the directory in which its files were named."""
    monkeypatch.chdir(tmp_path)
    contexts("context", "set", "p", "--server", "h:1", "--token-file", "t", "--tls-ca", "ca.pem")
    saved = context_file.read(path).contexts["p"]
    assert (saved.token_file, saved.tls_ca) == (str(tmp_path / "t"), str(tmp_path / "ca.pem"))


def test_removing_forgets_it_and_that_it_was_chosen(contexts: CommandLine, path: Path) -> None:
    contexts("context", "set", "p", "--server", "h:1")
    assert contexts("context", "remove", "p").code == 0
    assert context_file.read(path) == context_file.ContextFile()
    assert "no contexts yet" in contexts("context", "list").out


@pytest.mark.parametrize("words", [("set", "p"), ("set", "a b", "--server", "h:1"), ("remove", "p"), ("use", "p")])
def test_usage(contexts: CommandLine, words: tuple[str, ...]) -> None:
    assert contexts("context", *words).code == 2
