"""What a command shows: data on stdout, talk on stderr, colour only where somebody looks at it.

Text that came from outside is made visible first: a key or a reason can never move the cursor, hide text or end a line.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import IO, TYPE_CHECKING, TypeAlias

from rollout_server.cli import yaml_text
from rollout_server.cli.yaml_text import Data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table
    from rich.text import Text

WIDTH_DEFAULT = 80
_WIDTH_PIPED = 10_000  # a table in a pipe is never cut
_SENTENCE_MIN = 20
_WIDTH_MAX = 160  # lines longer than this read badly on a wide screen


class Format(Enum):
    """What `-o` takes."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Mark:
    """Text with a style of rich: "green", "bold red", "dim"."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        is_number: set flush right.
        folds: takes the width that is left and breaks lines; the others stay whole.
    """

    title: str
    is_number: bool = False
    folds: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """Several lines in one cell of a table."""

    lines: tuple[str | Mark, ...]


Cell: TypeAlias = "str | Mark"

GOOD = "green"
BAD = "red"
WARN = "yellow"
DIM = "bright_black"
STRONG = "bold"


def visible(text: str) -> str:
    """Return the text with control, bidirectional, zero-width and odd space characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def quantity(count: int, noun: str) -> str:
    """Write "1 flag" or "1,204 flags"; nouns in -s, -sh, -ch and -x take -es."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith(('s', 'sh', 'ch', 'x')) else 's'}"


class Screen:
    """Draws for one command.

    Args:
        format: how stdout is written.
        environ: NO_COLOR, FORCE_COLOR and COLUMNS are honoured.
    """

    def __init__(self, format: Format, environ: Mapping[str, str]) -> None:  # noqa: A002 - the option's own name
        self.format = format
        self._environ = environ

    @property
    def is_wide(self) -> bool:
        """Whether nothing should be left out."""
        return self.format is Format.WIDE

    @property
    def is_data(self) -> bool:
        """Whether stdout is for a program."""
        return self.format in {Format.JSON, Format.YAML}

    def talk(self, *cells: Cell) -> None:
        """Write one line to a person, on stderr."""
        self._line(sys.stderr, cells)

    def line(self, *cells: Cell) -> None:
        """Write one line of the answer, on stdout."""
        self._line(sys.stdout, cells)

    def sentence(self, *cells: Cell, indent: int = 0) -> None:
        """Write a sentence of the answer, broken between words where the terminal ends; never for what is pasted."""
        from rich.console import Console

        margin = " " * indent
        lines = _text(cells).wrap(Console(), max(self.width - indent, _SENTENCE_MIN))
        for text in lines:
            text.rstrip()
            spans = sorted({0, len(text), *(edge for span in text.spans for edge in (span.start, span.end))})
            parts = [text[start:end] for start, end in itertools.pairwise(spans)]
            self.line(margin, *(Mark(part.plain, str(part.spans[0].style) if part.spans else "") for part in parts))

    def tell(self, *cells: Cell) -> None:
        """Write one line of what came of a change: the answer for a person, talk where stdout is for a program."""
        self._line(sys.stderr if self.is_data else sys.stdout, cells)

    def note(self, label: str, text: str) -> None:
        """Write "label: text" on stderr, as in "undo: rollout revert 14"."""
        self.talk(Mark(f"{label}: ", DIM), text)

    def progress(self, text: str) -> None:
        """Rewrite one line of stderr while something takes long; silent unless somebody looks."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{visible(text)}")
            sys.stderr.flush()

    def end_progress(self) -> None:
        """Take the progress line away."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def data(self, value: Data) -> None:
        """Write the answer for a program, as JSON or YAML; a terminal that shows it obeys nothing in it."""
        if self.format is Format.YAML:
            sys.stdout.write(yaml_text.dump(value))
        else:
            from rollout_server.domain.unseen import escaped_in_json

            sys.stdout.write(escaped_in_json(json.dumps(value, ensure_ascii=False, indent=2)) + "\n")

    def show(self, value: Data, draw: Callable[[], None]) -> None:
        """Answer a program with `value`, a person with `draw`."""
        if self.is_data:
            self.data(value)
        else:
            draw()

    def heading(self, text: str) -> None:
        """Start a part of the answer."""
        self.line(Mark(text, DIM))

    def facts(self, facts: Iterable[tuple[str, Sequence[Cell]]]) -> None:
        """Write "Label:   value" lines, values aligned; a fact without a value is left out."""
        shown = [(label, cells) for label, cells in facts if any(_plain(cell) for cell in cells)]
        width = max((len(label) for label, _ in shown), default=0) + 1
        table = _grid()
        table.add_column(width=width, no_wrap=True)
        table.add_column(overflow="fold")
        for label, cells in shown:
            table.add_row(_text((Mark(f"{label}:", STRONG),)), _text(cells))
        self._draw(table)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell | Stack]]) -> None:
        """Draw rows under dimmed headings, without boxes. A column that nobody fills is left out."""
        held = [list(row) for row in rows]
        kept = [index for index in range(len(columns)) if any(_is_filled(row[index]) for row in held)]
        table = _grid(header=any(columns[index].title for index in kept))
        for index in kept:
            column = columns[index]
            table.add_column(
                column.title,
                justify="right" if column.is_number else "left",
                no_wrap=not column.folds,
                overflow="fold" if column.folds else "ellipsis",
                ratio=None,
            )
        for row in held:
            table.add_row(*(_cell(row[index]) for index in kept))
        self._draw(table)

    def _draw(self, table: Table) -> None:
        from rich.console import Console

        console = Console(
            file=sys.stdout,
            width=self.width,
            force_terminal=self._colours(sys.stdout),
            no_color=not self._colours(sys.stdout),
            highlight=False,
            emoji=False,
            markup=False,
            legacy_windows=False,
        )
        with console.capture() as capture:
            console.print(table)
        # rich pads every line to the table's width; a terminal does not need it and a diff shows it.
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))

    @property
    def width(self) -> int:
        """Columns to draw in: the terminal's; a table in a pipe is never cut."""
        given = self._environ.get("COLUMNS", "")
        if given.isdigit() and int(given) > 0:
            return int(given)
        if not sys.stdout.isatty():
            return _WIDTH_PIPED
        import shutil

        return min(shutil.get_terminal_size((WIDTH_DEFAULT, 24)).columns, _WIDTH_MAX)

    def _colours(self, stream: IO[str]) -> bool:
        if self._environ.get("NO_COLOR"):
            return False
        if self._environ.get("FORCE_COLOR"):
            return True
        return stream.isatty() and self._environ.get("TERM") != "dumb"

    def _line(self, stream: IO[str], cells: Sequence[Cell]) -> None:
        if not any(isinstance(cell, Mark) and cell.style for cell in cells) or not self._colours(stream):
            stream.write("".join(visible(_plain(cell)) for cell in cells) + "\n")
        else:
            import click

            stream.write("".join(_ansi(cell, click.style) for cell in cells) + "\n")
        stream.flush()


def _ansi(cell: Cell, style: Callable[..., str]) -> str:
    text = visible(_plain(cell))
    if isinstance(cell, str) or not cell.style:
        return text
    words = cell.style.split()
    colour = next((word for word in words if word != STRONG), None)
    return style(text, fg=colour, bold=STRONG in words or None)


def _is_filled(cell: Cell | Stack) -> bool:
    return bool(cell.lines if isinstance(cell, Stack) else _plain(cell))


def _plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _cell(cell: Cell | Stack) -> Text:
    from rich.text import Text

    if isinstance(cell, Stack):
        return Text("\n").join(_text((line,)) for line in cell.lines)
    return _text((cell,))


def _text(cells: Sequence[Cell]) -> Text:
    from rich.text import Text

    text = Text()
    for cell in cells:
        text.append(visible(_plain(cell)), style=cell.style if isinstance(cell, Mark) else "")
    return text


def _grid(*, header: bool = False) -> Table:
    from rich.table import Table

    return Table(
        box=None, show_header=header, header_style=DIM, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0),
        collapse_padding=True,
    )  # fmt: skip
