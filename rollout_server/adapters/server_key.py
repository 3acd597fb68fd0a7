"""The server's own key: made once, beside the store and never in it."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from rollout_server.domain.checkpoint import SERVER_KEY_BYTES
from rollout_server.errors import Corrupt, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def server_key(path: Path) -> bytes:
    """Return the key in this file, making file and key where there is none; 32 random bytes, as hexadecimal text.

    Keep a copy with the backups, not in them: checkpoints that it signed are trusted only while it is here.

    Raises:
        Corrupt: the file holds no key.
        Unavailable: it cannot be read, or made.
    """
    part = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            try:
                _write(part, secrets.token_bytes(SERVER_KEY_BYTES).hex())
                os.link(part, path)  # unlike a rename, it never replaces the key of another process
            except FileExistsError:
                pass
            finally:
                part.unlink(missing_ok=True)
            _sync(path.parent)
        text = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        hint = "see that the disk has room, and that the server may read and write there"
        raise Unavailable("server key", f"{path}: {error.strerror or error}", hint) from error
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < SERVER_KEY_BYTES:
        hint = "put the key back; if it is lost, remove the file: a new key vouches only for what it signs itself"
        raise Corrupt(str(path), f"it holds no key of {SERVER_KEY_BYTES} bytes in hexadecimal", hint)
    return key


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
