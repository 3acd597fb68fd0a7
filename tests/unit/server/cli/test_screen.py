"""What a command shows."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from rollout_server.cli.screen import BAD, Column, Format, Mark, Screen, Stack, quantity, visible


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@given(st.text())
def test_text_from_outside_can_neither_move_the_cursor_nor_hide(text: str) -> None:
    """Keys, reasons and names are shown, never obeyed."""
    shown = visible(text)
    assert shown.isprintable()
    assert "\n" not in shown


def test_what_reads_well_is_left_alone() -> None:
    assert visible("Größe · 価格 50 %") == "Größe · 価格 50 %"
    assert visible("a\u202eb") == "a\\u202eb"


def test_quantities() -> None:
    assert [quantity(1, "flag"), quantity(1_204, "flag"), quantity(2, "process")] == [
        "1 flag",
        "1,204 flags",
        "2 processes",
    ]


def test_a_column_nobody_fills_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.TABLE, {"COLUMNS": "80"}).table(
        [Column("A"), Column("EMPTY"), Column("N", is_number=True)], [["x", "", "1"], ["yy", Mark(""), "22"]]
    )
    assert capsys.readouterr().out == "A    N\nx    1\nyy  22\n"


def test_a_cell_may_have_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.TABLE, {"COLUMNS": "80"}).table([Column("A"), Column("B")], [["x", Stack(("one", Mark("two", BAD)))]])
    assert capsys.readouterr().out == "A  B\nx  one\n   two\n"


def test_no_markup_and_no_emoji_is_read_out_of_data(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.TABLE, {"COLUMNS": "80"}).table([Column("A")], [["[red]:bug:[/red]"]])
    assert capsys.readouterr().out == "A\n[red]:bug:[/red]\n"


def test_a_sentence_breaks_between_words_where_the_terminal_ends(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ("a ", Mark("flag", BAD), " of ten long words")
    Screen(Format.TABLE, {"COLUMNS": "24"}).sentence(*cells, indent=4)
    assert capsys.readouterr().out == "    a flag of ten long\n    words\n"
    Screen(Format.TABLE, {"COLUMNS": "24", "FORCE_COLOR": "1"}).sentence(*cells, indent=4)
    assert capsys.readouterr().out == "    a \x1b[31mflag\x1b[0m of ten long\n    words\n"
    Screen(Format.TABLE, {}).sentence("word " * 100)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_pipe_never_cuts_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.TABLE, {}).table([Column("A", folds=True)], [["word " * 100]])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_facts_are_aligned_and_empty_ones_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.TABLE, {"COLUMNS": "80"}).facts(
        [("Flag", ("cart",)), ("Owner", ("",)), ("Variants", ("on", ", off"))]
    )
    assert capsys.readouterr().out == "Flag:      cart\nVariants:  on, off\n"


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_only_on_a_terminal_that_wants_it(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *, coloured: bool
) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    screen = Screen(Format.TABLE, {"COLUMNS": "80", **environ})
    screen.line(Mark("bad", BAD))
    screen.table([Column("A")], [[Mark("bad", BAD)]])
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_no_colour_in_a_pipe_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.TABLE, {"COLUMNS": "80"}).line(Mark("bad", BAD))
    assert capsys.readouterr().out == "bad\n"
    Screen(Format.TABLE, {"COLUMNS": "80", "FORCE_COLOR": "1"}).line(Mark("bad", f"bold {BAD}"))
    assert capsys.readouterr().out == "\x1b[31m\x1b[1mbad\x1b[0m\n"


def test_progress_is_for_people_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(Format.TABLE, {})
    screen.progress("half way")
    screen.end_progress()
    assert capsys.readouterr().err == ""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    screen.progress("half way")
    screen.end_progress()
    assert stream.getvalue() == "\r\x1b[2Khalf way\r\x1b[2K"


def test_what_came_of_a_change_leaves_stdout_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.TABLE, {}).tell("done")
    Screen(Format.JSON, {}).tell("done")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("done\n", "done\n")


def test_data_as_json_and_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Format.JSON, {}).show({"a": "ä"}, lambda: None)
    assert capsys.readouterr().out == '{\n  "a": "ä"\n}\n'
    Screen(Format.YAML, {}).show({"a": "on"}, lambda: None)
    assert capsys.readouterr().out == 'a: "on"\n'


@pytest.mark.parametrize("format", [Format.JSON, Format.YAML])
def test_data_shows_what_hides_as_escapes(format: Format, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: A002
    """A terminal that shows data obeys nothing in it; a program reads the same text."""
    text = "a\x9b\u202e\u200b\U000e0001b"
    Screen(format, {}).data({"reason": text})
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert YAML(typ="safe", pure=True).load(out) == {"reason": text} if format is Format.YAML else True
    assert json.loads(out) == {"reason": text} if format is Format.JSON else True


def test_formats() -> None:
    assert Screen(Format.WIDE, {}).is_wide
    assert [Screen(item, {}).is_data for item in Format] == [False, False, True, True]
