"""Channels to the server: made here for the stream and for the reporter."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from rollout_sdk import surroundings
from rollout_sdk.lifecycle import stand_behind_grpc
from rollout_sdk.settings import is_local

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

    from rollout_sdk.settings import Settings

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
_PEM_BYTES_MAX: Final = 1 << 20
SEE_OFF_S: Final = 1.0

_anchor: dict[int, grpc.Channel] = {}
_suited: list[bool] = []


def cast_anchor() -> None:
    """Keep an idle channel open in this process, for good.

    When its last channel closes, gRPC shuts down on a thread of its own and holds a global lock meanwhile. A fork in
    that moment copies the lock as held, and the child hangs at its first channel, with the GIL. Hence no last channel.
    """
    import grpc

    pid = os.getpid()
    if pid not in _anchor:
        anchor = grpc.insecure_channel("unix:/anchor", [("grpc.use_local_subchannel_pool", 1)])  # never dialled
        _anchor.clear()
        _anchor[pid] = anchor
    stand_behind_grpc()


def helpers() -> set[threading.Thread]:
    """Return the threads that gRPC keeps in Python just now, for whomever."""
    return {
        thread
        for thread in threading.enumerate()
        if str(getattr(getattr(thread, "_target", None), "__module__", "")).startswith("grpc.")
    }


def see_off(threads: Iterable[threading.Thread]) -> None:
    """Wait a moment for threads of closed channels: they end by themselves, and must not be alive at a fork."""
    until = time.monotonic() + SEE_OFF_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def expect_threads(count: int) -> None:
    """Try before gRPC does: a channel whose thread could not start waits for it wherever it is closed or forgotten.

    Args:
        count: how many gRPC and the caller are about to start.

    Raises:
        OSError: there are not so many to be had just now.
    """
    go_home = threading.Event()
    probes: list[threading.Thread] = []
    try:
        for _ in range(count):
            probe = threading.Thread(target=go_home.wait, name="rollout-probe", daemon=True)
            probe.start()
            probes.append(probe)
    except RuntimeError as error:
        raise OSError(str(error)) from None
    finally:
        go_home.set()
        for probe in probes:
            probe.join()


def suit(*, is_green: bool) -> None:
    """Make gRPC fit what runs this process; called in each thread before it dials, and cheap when repeated.

    Under gevent, gRPC blocks every greenlet for good unless it is told.

    Args:
        is_green: the thread that calls began its life as a greenlet.

    Raises:
        OSError: gRPC cannot work here.
    """
    import grpc

    surroundings.say_once(surroundings.of_grpc(grpc.__version__))
    if eventlet := surroundings.of_eventlet():
        surroundings.say_once(eventlet)
        raise OSError("gRPC cannot work under eventlet")
    if not surroundings.is_patched():
        return
    if not is_green:
        surroundings.say_once(surroundings.GREENLETS)
        raise OSError("gevent came after the client")
    if not _suited:
        from grpc.experimental import gevent

        _suited.append(True)
        gevent.init_gevent()


def dial(settings: Settings) -> grpc.Channel:
    """Return a channel; nothing is sent before it is used.

    Raises:
        OSError: a certificate file cannot be read.
        ValueError: it is no certificate file.
    """
    import grpc

    options: list[tuple[str, int]] = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.keepalive_time_ms", settings.keepalive_ms),
        ("grpc.keepalive_timeout_ms", settings.connect_timeout_ms),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),  # else a channel inherits the core's own backoff from an earlier one
    ]
    if is_local(settings.target):
        options.append(("grpc.enable_http_proxy", 0))
    if not settings.uses_tls:
        return grpc.insecure_channel(settings.target, options)
    # Read at every dial, so that renewed certificates are taken up without a restart.
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_pem(settings.tls_ca),
        private_key=_pem(settings.tls_key),
        certificate_chain=_pem(settings.tls_cert),
    )
    return grpc.secure_channel(settings.target, credentials, options)


def _pem(path: str) -> bytes | None:
    if not path:
        return None
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib would be loaded for this alone
        content = file.read(_PEM_BYTES_MAX + 1)
    if len(content) > _PEM_BYTES_MAX:
        raise ValueError(f"{path} is larger than 1 MiB, which no certificate file is")
    return content
