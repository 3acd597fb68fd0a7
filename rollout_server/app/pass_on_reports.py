"""Reports of the processes behind a relay: upstream commits them, or the process keeps them.

A process hears *taken* only after upstream has said so, under the process's own name and sequence. So there is nothing
here to lose: a relay that dies, or an upstream that is away, makes processes send again, and a repeat counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.errors import RolloutError, Unavailable

if TYPE_CHECKING:
    from rollout_server.ports import Upstream

BYTES_MAX = 64 * 1024 * 1024
"""Of reports that are under way at once; what does not fit stays with its process for a while."""


class PassOnReports:
    """Passes reports on.

    Attributes:
        passed: that upstream took, since this relay started.
        put_off: that their processes keep, and send again: upstream was away, or there was no room.
        refused: that upstream does not want.
        bytes_under_way: of reports that wait for upstream's answer.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.passed = 0
        self.put_off = 0
        self.refused = 0
        self.bytes_under_way = 0
        self._upstream = upstream

    async def take(self, secret: str, report: bytes) -> bytes:
        """Return upstream's answer to a report.

        Args:
            secret: the token that the process came with.
            report: as the process sent it.

        Raises:
            InvalidInput, Forbidden: upstream refuses it.
            Unavailable: the process is to send it again.
        """
        if self.bytes_under_way + len(report) > BYTES_MAX:
            self.put_off += 1
            raise Unavailable("upstream", "too many reports wait for upstream", "the process sends it again by itself")
        self.bytes_under_way += len(report)
        try:
            answer = await self._upstream.report(secret, report)
        except Unavailable:
            self.put_off += 1
            raise
        except RolloutError:
            self.refused += 1
            raise
        finally:
            self.bytes_under_way -= len(report)
        self.passed += 1
        return answer
