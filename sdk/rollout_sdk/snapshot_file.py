"""The last known good ruleset on disk: a start-up aid, never the truth. Nothing here is called while deciding.

Written aside, synced and renamed, so that a reader sees the old file or the new one; processes may share a path.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

BYTES_MAX: Final = 1 << 30
LOCK_ATTEMPTS: Final = 10
LOCK_WAIT_S: Final = 0.02
LEFTOVER_AGE_S: Final = 3_600
"""A file aside that is older was left by a process that died while writing."""

_log = logging.getLogger("rollout_sdk")


class SnapshotFile:
    """One path. Trouble with the disk is warned of once, until it works again; it never raises."""

    def __init__(self, path: str) -> None:
        from pathlib import Path  # a tenth of what `import rollout_sdk` may cost, and most clients keep no file

        self.path = Path(path)
        self._has_warned = False
        self._has_tidied = False
        self._written: tuple[int, ...] | None = None

    def read(self) -> bytes | None:
        """Return what the file holds; None where there is none, or none that can be trusted."""
        try:
            return read_own(self.path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._warn("cannot be read", error)
            return None

    def peek(self) -> bytes | None:
        """Return what another process has written since this one last did; None where nobody has."""
        try:
            return None if _signature(self.path) == self._written else read_own(self.path)
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep other processes from replacing the file between `peek` and `write`; never waits long.

        Yields:
            False where another process has it just now: try again later. Where the disk knows no locks, nobody is kept.
        """
        import fcntl

        try:
            place = self.path.with_name(f".{self.path.name}.lock")
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except (OSError, ValueError):
            yield True  # whoever writes will find out what is wrong here, and say so
            return
        try:
            yield _lock(descriptor, fcntl)
        finally:
            os.close(descriptor)  # which gives the lock back

    def write(self, data: bytes) -> bool:
        """Replace the file; return whether that is done and durable."""
        aside = None
        try:
            _check_replaceable(self.path)
            aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
            self._tidy()
            _write_synced(aside, data)
            aside.replace(self.path)
            _sync_directory(self.path.parent)
            self._written = _signature(self.path)
        except (OSError, ValueError) as error:  # ValueError: "." or a null byte names no file
            if aside is not None:
                with contextlib.suppress(OSError, ValueError):
                    aside.unlink()
            self._warn("cannot be written", error)
            return False
        self._has_warned = False
        return True

    def reject(self, reason: object) -> None:
        """Say that what was read is not a ruleset."""
        self._warn("is ignored", reason)

    def _warn(self, what: str, error: object) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("the snapshot %s %s: %s; decisions do not depend on it", self.path, what, error)

    def _tidy(self) -> None:
        """Remove what processes that were killed while writing have left."""
        if self._has_tidied:
            return
        self._has_tidied = True
        oldest = time.time() - LEFTOVER_AGE_S
        for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            with contextlib.suppress(OSError):
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()


def _lock(descriptor: int, fcntl: ModuleType) -> bool:
    for _ in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_WAIT_S)
        except OSError:
            return True
        else:
            return True
    return False


def read_own(path: Path) -> bytes:
    """Return the whole of a regular file that nobody but this user (or root) can have written.

    Raises:
        OSError: it cannot be read; PermissionError also where somebody else could have written it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe must not block
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise PermissionError("it is not a regular file")
        if state.st_uid not in {os.geteuid(), 0} or state.st_mode & stat.S_IWOTH:
            raise PermissionError("another user can have written it; make it yours and not writable by others")
        if state.st_size > BYTES_MAX:
            raise OSError(f"it has {state.st_size} bytes, at most {BYTES_MAX} are read")
        return file.read()


def _check_replaceable(path: Path) -> None:
    """A rename takes the place of whatever has the name: as root even of /dev/full, and of a socket somebody serves.

    Raises:
        OSError: something is there that is not a regular file.
        ValueError: the path cannot name a file.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("it is not a regular file; give the path of a file that may be replaced")


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _signature(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return (state.st_ino, state.st_mtime_ns, state.st_size)
