"""The Dockerfile, replayed step by step in a clean environment, then run as its own user."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout_server.cli.target import DEFAULT_SERVER
from tests.certificates import Authority
from tests.dockerfile_replay import Replay, context, read_steps
from tests.small_server import free_port

ROOT = Path(__file__).parents[2]
STEPS = read_steps((ROOT / "Dockerfile").read_text(encoding="utf-8"))
WITHIN_S = 60

# One worker replays, once.
pytestmark = [pytest.mark.xdist_group("dockerfile"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def image() -> Iterator[Replay]:
    """The replayed image. Not in pytest's own directories: nobody else may enter those."""
    with tempfile.TemporaryDirectory(prefix="rg-image-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        sent = scratch / "context"
        sent.mkdir()
        context(ROOT, sent)
        replay = Replay(scratch, sent)
        replay.run_all(STEPS)
        shutil.rmtree(sent)
        for path in (replay.root, *replay.root.rglob("*")):  # a read-only root, but for the volumes
            if path not in [replay.at(volume) for volume in replay.volumes] and not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
        yield replay
        for path in (replay.root, *replay.root.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


def stands(image: Replay) -> dict[Path, tuple[int, int]]:
    """Everything in the image but its volumes."""
    volumes = [image.at(volume) for volume in image.volumes]
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in image.root.rglob("*")
        if not any(volume == path or volume in path.parents for volume in volumes)
    }


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=WITHIN_S)
    return process.returncode, said


def test_the_linter_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_only_what_is_locked_is_in_the_image(image: Replay) -> None:
    """Nor is pip: what is not in the image cannot be used in it."""
    (packages,) = image.root.glob("opt/rollout/lib/python*/site-packages")
    installed = {normal(path.name.split("-")[0]) for path in packages.glob("*.dist-info")}
    lock = (ROOT / "requirements" / "server.lock").read_text(encoding="utf-8")
    locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    assert "rollout_guard" in installed
    assert installed - locked == {"rollout_guard"}
    assert not (packages / "pip").exists()
    assert not list(image.root.rglob("tests/e2e"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def test_the_user_of_the_image_is_nobody_and_owns_the_volume_alone(image: Replay) -> None:
    assert image.user == "10001:10001"
    (volume,) = image.volumes
    assert image.at(volume).stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert image.at(volume).stat().st_uid == 10_001
    assert image.env["ROLLOUT_DATA"] == image.env["HOME"] == str(image.at(volume))


def test_ports_agree(image: Replay) -> None:
    """With what the health check asks, and with what other machines find."""
    assert [image.env["ROLLOUT_LISTEN"], image.env["ROLLOUT_HTTP_LISTEN"]] == [
        f"0.0.0.0:{port}" for port in image.ports
    ]
    assert f"localhost:{image.ports[0]}" == DEFAULT_SERVER


def test_nothing_is_served_in_clear_text_unless_told_so(image: Replay) -> None:
    """A container that is started without a word about TLS says what to give it."""
    code, said = ends(image.start([*image.said["ENTRYPOINT"], *image.said["CMD"]]))
    assert code == 2
    assert "insecure_listen" in said


def served(image: Replay, **variables: str) -> tuple[int, str, str]:
    """Start it, ask its health check, stop it; return how the check ended and what both said."""
    address = f"127.0.0.1:{free_port()}"
    there = {"ROLLOUT_LISTEN": address, "ROLLOUT_HTTP_LISTEN": f"127.0.0.1:{free_port()}", **variables}
    server = image.start([*image.said["ENTRYPOINT"], *image.said["CMD"]], **there)
    code, said = 1, ""
    try:
        for _ in range(30):
            code, said = ends(image.start(image.said["HEALTHCHECK"], ROLLOUT_SERVER=address, **variables))
            if code == 0 or server.poll() is not None:
                break
    finally:
        server.send_signal(signal.Signals[image.stop_signal])
        ended, log = ends(server)
    assert ended == 0, log
    assert "stopped" in log
    assert ends(image.start(image.said["HEALTHCHECK"], ROLLOUT_SERVER=address, **variables))[0] != 0
    return code, said, log


def test_it_starts_is_healthy_and_ends_cleanly_and_writes_nothing_but_its_volume(image: Replay) -> None:
    """As its own user, on a tree that cannot be written to; its health check needs no token."""
    before = stands(image)
    code, said, _ = served(image)
    assert (code, said) == (0, "serving\n")
    store = image.at(image.volumes[0]) / "rollout.db"
    assert store.stat().st_uid == (10_001 if os.geteuid() == 0 and image.can_be_another() else os.geteuid())
    assert stands(image) == before


@pytest.mark.parametrize("asks_clients", [False, True])
def test_with_tls_the_health_check_takes_the_variables_of_the_page(image: Replay, *, asks_clients: bool) -> None:
    """Those of the server's own certificate, and of its authority; also where it asks clients for one."""
    authority, files = Authority(), image.scratch / f"tls-{asks_clients}"
    files.mkdir(mode=0o755)
    cert, key = authority.sign().write(files)
    (files / "ca.pem").write_bytes(authority.pem)
    for path in files.iterdir():
        path.chmod(0o644)
    variables = {"ROLLOUT_TLS_CERT": str(cert), "ROLLOUT_TLS_KEY": str(key), "ROLLOUT_TLS_CA": str(files / "ca.pem")}
    if asks_clients:
        variables["ROLLOUT_TLS_CLIENT_CA"] = variables["ROLLOUT_TLS_CA"]
    code, said, _ = served(image, **variables)
    assert (code, said) == (0, "serving\n")
