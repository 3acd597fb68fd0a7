"""A bad network between a client and a server: real sockets, and a test says how bad."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import Self

CHUNK_BYTES = 65_536
LOOK_EVERY_S = 0.01


class TcpProxy:
    """Listens on loopback and passes on what it gets.

    Attributes:
        target: where clients are to dial.
        is_hole: takes connections and bytes, and passes nothing on, either way.
        drip_bytes: passes on so many bytes at a time to the client, with a pause after each; 0: all at once.
        accepted: connections until now.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(LOOK_EVERY_S)
        self.target = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.is_hole = False
        self.drip_bytes = 0
        self.accepted = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._is_ending = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        self._thread.join()
        self._listening.close()
        self.cut()

    def lead_to(self, server: str) -> None:
        """Pass on to another server, from the next connection on."""
        self._server = server

    def cut(self) -> None:
        """Break every connection that is open."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._is_ending:
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            self.accepted += 1
            host, _, port = self._server.rpartition(":")
            try:
                server = socket.create_connection((host, int(port)))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, contextlib.suppress(OSError):
            while not self._is_ending:
                for end in select.select([client, server], [], [], LOOK_EVERY_S)[0]:
                    if self.is_hole:
                        time.sleep(LOOK_EVERY_S)
                        continue
                    is_drip = end is server and self.drip_bytes
                    data = end.recv(self.drip_bytes if is_drip else CHUNK_BYTES)
                    if not data:
                        return
                    (server if end is client else client).sendall(data)
                    if is_drip:
                        time.sleep(LOOK_EVERY_S / 10)
