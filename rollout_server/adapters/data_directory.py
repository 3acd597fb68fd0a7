"""Who uses a data directory: every server on a store in it holds the directory for as long as it lives.

A shared lock on the directory itself: it needs no file, and the kernel lets go of it when its holder dies. It keeps
nobody out; it answers whether somebody is there.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold it. Where the file system cannot lock directories nothing is held, and nobody is hindered."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def is_held(directory: Path) -> bool:
    """Whether a living process holds it, as far as can be known."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
