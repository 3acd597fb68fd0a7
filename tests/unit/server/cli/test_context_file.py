"""The context file: private, whole or not at all, and plain about what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.cli import context_file
from rollout_server.cli.context_file import ContextFile, SavedContext
from rollout_server.cli.failures import CommandFailed, Exit


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_what_is_written_reads_the_same_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.toml"
    file = ContextFile(
        "prod",
        {"prod": SavedContext("h:1", "production", token='s"\\\n'), "a.b": SavedContext("h:2", allow_plaintext="yes")},
    )
    context_file.write(path, file)
    assert context_file.read(path) == ContextFile("prod", dict(file.contexts))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["config.toml"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Quoting is complete: no value can end its string early."""
    path = tmp_path_factory.mktemp("contexts") / "config.toml"
    context_file.write(path, ContextFile("", {"x": SavedContext(server=text)}))
    assert context_file.read(path).contexts["x"].server == text


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    assert context_file.read(tmp_path / "none.toml") == ContextFile()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "c.toml", "", mode)
    with pytest.raises(CommandFailed, match="others can read it") as failed:
        context_file.read(path)
    assert f"chmod 600 {path}" in failed.value.hint
    assert failed.value.exit_code is Exit.USAGE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("current = ", "is not TOML"),
        ("\xff", "is not TOML"),
        ("curent = 'a'", "unknown entry 'curent'"),
        ("current = 1", "current is a name"),
        ("contexts = 1", "is a table"),
        ("[contexts]\na = 1", "contexts.a is not a table"),
        ("[contexts.a]\nsever = 'x'", "unknown entry 'sever'"),
        ("[contexts.a]\nserver = 1", "must be text"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(CommandFailed, match=message):
        context_file.read(path)


def test_a_misspelt_entry_is_suggested(tmp_path: Path) -> None:
    path = written(tmp_path / "c.toml", "[contexts.a]\nsever = 'x'\n")
    with pytest.raises(CommandFailed) as failed:
        context_file.read(path)
    assert failed.value.hint == "did you mean server?"


def test_a_directory_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    with pytest.raises(CommandFailed, match="nothing was changed"):
        context_file.write(blocker / "config.toml", ContextFile())


def test_where_it_lives() -> None:
    assert context_file.default_path({"ROLLOUT_CONFIG": "/a"}) == Path("/a")
    assert context_file.default_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/rollout/config.toml")
    assert context_file.default_path({"HOME": "/h"}) == Path("/h/.config/rollout/config.toml")


def test_a_token_is_never_printed_by_accident() -> None:
    assert "secret" not in repr(SavedContext(token="secret"))
