"""Files of flags, read as `rollout apply` reads them.

The reader is the server's own, and the SDK does not import the server: the distribution names it in an entry point, and
it is looked for when a test asks for files (docs/adr/0017). It needs a YAML parser besides: the extra "testing".
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GROUP: Final = "rollout_sdk.testing"
NAME: Final = "documents"
SUFFIXES: Final = (".yaml", ".yml", ".json")

_Applied: TypeAlias = "tuple[str, Sequence[tuple[str, bytes]]]"

_INSTALL: Final = "pip install 'rollout-guard[testing]'"


class Documents:
    """All that was applied so far."""

    def __init__(self) -> None:
        self._applied: tuple[_Applied, ...] = ()

    def apply(self, paths: Sequence[str | os.PathLike[str]], environment: str = "") -> bytes:
        """Return the snapshot of what was applied before and these files after it.

        Args:
            paths: files, or directories with all that is in them.
            environment: whose overlays are merged; "" merges none.

        Raises:
            OSError: one cannot be read.
            ValueError: something is wrong in them; each thing is told with its place. Or there is no file.
            ModuleNotFoundError: the reader is not installed; says what to type.
        """
        files = [(str(path), path.read_bytes()) for given in paths for path in _files(Path(given))]
        if not files:
            raise ValueError(f"no file was named; name files or directories with {', '.join(SUFFIXES)}")
        applied = (*self._applied, (environment, files))
        snapshot = _reader()(applied)
        self._applied = applied
        return snapshot


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(
        each
        for each in path.rglob("*")
        if each.suffix in SUFFIXES
        and each.is_file()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
    )


def _reader() -> Callable[[Sequence[_Applied]], bytes]:
    found = entry_points(group=GROUP, name=NAME)
    if not found:
        raise ModuleNotFoundError(f"the reader of files is not installed with this SDK; type: {_INSTALL}")
    try:
        reader: Callable[[Sequence[_Applied]], bytes] = next(iter(found)).load()
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"files need {error.name}; type: {_INSTALL}", name=error.name) from error
    return reader
