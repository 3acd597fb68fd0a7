"""A server for integration tests: everything in memory, and the real protocol over loopback."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from rollout_sdk.client import Client
from rollout_sdk.engine.model import PPM, Arm
from rollout_sdk.settings import Settings
from rollout_sdk.testing.board import Board
from rollout_sdk.testing.documents import Documents
from rollout_sdk.testing.ledger import Ledger, Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rollout_sdk.engine.model import Json
    from rollout_sdk.testing.service import Listening

TOKEN: Final = "rg_testing"  # noqa: S105 - opens nothing but the server of a test
WAIT_S: Final = 10.0


class Server:
    """What processes under test connect to, with any client of this SDK, in this process or in others.

    `with Server() as server:` listens on a free port of loopback. Every method that changes rules returns the revision;
    `wait_until_in_force` waits for the processes to acknowledge it.

    Attributes:
        token: the only one that it takes.
    """

    token = TOKEN

    def __init__(self, values: Mapping[str, Json] | None = None) -> None:
        """Make a server; it listens from `start` or `with` on.

        Args:
            values: flags to begin with, as for `set`.

        Raises:
            ValueError: a key is no flag's, or a value is none that JSON knows.
        """
        self._board = Board(os.urandom(8).hex())
        self._documents = Documents()
        self._ledger = Ledger()
        self._listening: Listening | None = None
        self._port = 0
        if values:
            self.set(values)

    # ----------------------------------------------------------------------------------------------------------- life

    def start(self) -> None:
        """Listen; again on the same port after `stop`.

        Raises:
            OSError: the port is taken by now.
        """
        from rollout_sdk.testing.service import Listening  # gRPC: not for those who only use `fixed`

        if self._listening is None:
            self._listening = Listening(self._board, self._ledger, self.token, self._port)
            self._port = self._listening.port

    def stop(self) -> None:
        """Cut all streams and close the port: what a process under test does then is what it does in an outage."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def target(self) -> str:
        """Where clients find it, "127.0.0.1:40123".

        Raises:
            RuntimeError: it has not been started.
        """
        if not self._port:
            raise RuntimeError("the server has no port yet; start it, or use `with Server() as server:`")
        return f"127.0.0.1:{self._port}"

    @property
    def variables(self) -> dict[str, str]:
        """What `Client.from_env` finds it by: for `monkeypatch.setenv`, or for the environment of a process."""
        return {"ROLLOUT_SERVER": self.target, "ROLLOUT_TOKEN": self.token}

    def client(self, service: str = "test") -> Client:
        """Return a new client of this server, which reconnects and reports faster than others; close it."""
        hasty = Settings(self.target, self.token, service, backoff_base_ms=10, backoff_max_ms=100, report_every_ms=100)
        return Client.of(hasty)

    # ---------------------------------------------------------------------------------------------------------- rules

    def set(self, values: Mapping[str, Json]) -> int:
        """Serve these values to everybody; other flags stay as they are.

        Raises:
            ValueError: a key is no flag's, or a value is none that JSON knows.
        """
        return self._board.set(values)

    def apply(self, *paths: str | os.PathLike[str], environment: str = "") -> int:
        """Put files in force, as `rollout apply` would; flags that are not in them stay.

        Raises:
            OSError: one cannot be read.
            ValueError: something is wrong in them.
            ModuleNotFoundError: the reader is not installed; says what to type.
        """
        return self._board.load(self._documents.apply(paths, environment))

    def kill(self, flag: str) -> int:
        """Serve the flag's `off` to everybody.

        Raises:
            LookupError: there is no such flag.
        """
        return self._board.kill(flag)

    def unkill(self, flag: str) -> int:
        """Let the rules decide again.

        Raises:
            LookupError: there is no such flag.
        """
        return self._board.kill(flag, killed=False)

    def expose(self, rollout: str, share_ppm: int = PPM, *, stage: str = "test") -> int:
        """Let a rollout expose a share of everybody, as if it had entered a stage; 0 is its rollback.

        Raises:
            LookupError: no file said that there is such a rollout.
            ValueError: the share is not between 0 and 1,000,000.
        """
        return self._board.expose(rollout, share_ppm, stage)

    def remove(self, *flags: str) -> int:
        """Delete flags."""
        return self._board.remove(flags)

    # ------------------------------------------------------------------------------------------------------ processes

    @property
    def processes(self) -> tuple[Process, ...]:
        """Every process that ever said hello, in that order."""
        return self._ledger.processes

    def wait_until_in_force(self, *, processes: int = 1, timeout: float = WAIT_S) -> bool:
        """Wait until every connected process has acknowledged the newest revision.

        Args:
            processes: how many must be connected at least.
            timeout: seconds.

        Returns:
            Whether they did, in time.
        """
        revision = self._board.position.revision

        def in_force(everybody: tuple[Process, ...]) -> bool:
            connected = [each for each in everybody if each.connected]
            return len(connected) >= processes and all(each.revision >= revision for each in connected)

        return self._ledger.wait_for(in_force, timeout)

    def outcomes(self, metric: str) -> dict[Arm | None, int]:
        """Return how many outcomes of a metric were reported, by arm; None is unattributed. Clients `flush` first."""
        return self._ledger.outcomes(metric)
