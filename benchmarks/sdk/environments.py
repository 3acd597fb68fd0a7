"""An environment for each library, made once from its locked requirements and kept under `build/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from functools import cache
from hashlib import sha256
from pathlib import Path

from benchmarks.sdk.scenarios import COMPILED, OURS

ROOT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).resolve().parent / "requirements"
KEPT = ROOT / "build" / "benchmarks"


@cache
def python_of(name: str) -> Path:
    """Return the interpreter that has this library, making its environment if need be."""
    if name in (OURS, COMPILED):
        kind = "pure" if name == OURS else "compiled"
        command: list[str | Path] = [sys.executable, ROOT / "scripts" / "wheel_environment.py", kind]
        made = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this repository's own script
        return Path(made.stdout.strip())
    lock = LOCKS / f"{name}.lock"
    version = sys.version.encode() + lock.read_bytes()
    home = KEPT / f"{name}-{sha256(version).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if not python.exists():
        _make(home, lock)
    return python


def _make(home: Path, lock: Path) -> None:
    """Make it aside first: what is there is whole."""
    aside = home.with_suffix(".making")
    shutil.rmtree(aside, ignore_errors=True)
    venv.create(aside, with_pip=False, symlinks=True)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--python",
        aside / "bin" / "python",
    ]
    subprocess.run([*pip, "install", "--require-hashes", "--only-binary", ":all:", "-r", lock], cwd=ROOT, check=True)  # noqa: S603 - locked by hashes
    aside.rename(home)


def versions() -> dict[str, str]:
    """Return what is measured against: library to version, as locked."""
    found = {}
    for lock in sorted(LOCKS.glob("*.lock")):
        wanted = lock.with_suffix(".in").read_text(encoding="utf-8").split()[-1]
        line = next(line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith(f"{wanted}=="))
        found[lock.stem] = line.removesuffix(" \\").replace("==", " ")
    return found
