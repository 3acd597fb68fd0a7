"""The first admin token of an environment, left in a file that only the server's owner can read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rollout_server.app.actor import Actor
from rollout_server.app.tokens import CreateToken, bootstrap, create_token
from rollout_server.domain.rights import Role
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_server.app.environment import Environment


async def write_first_token(environment: Environment, path: Path, *, is_wanted: bool = False) -> bool:
    """Make an admin token where the environment has no valid one, and write it to a file of mode 0600.

    Args:
        environment: started.
        path: a file that is there already is replaced.
        is_wanted: make one although there are others.

    Returns:
        Whether one was made.

    Raises:
        Unavailable: the file cannot be written, or the store is away.
    """
    secret = await bootstrap(environment)
    if secret is None and is_wanted:
        server = Actor("rollout-server", "at start", Role.ADMIN)
        secret = (await create_token(environment, CreateToken(Role.ADMIN.value, "new-admin"), server)).secret
    if secret is None:
        return False
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        hint = "let the server write there, and start it with --new-admin-token (ROLLOUT_NEW_ADMIN_TOKEN=true)"
        raise Unavailable("data", f"{path} cannot be written: {error.strerror}", hint) from None
    return True
