"""Makes an environment with our own wheel under `build/`, and prints its interpreter: quick when it is there.

    python scripts/wheel_environment.py pure|compiled

All else comes from the environment that runs this. So tests and benchmarks run over the compiled engine with nothing
else changed, and over a wheel that no edit changes while they run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ROOT / "build" / "wheels"


def state() -> str:
    """Return what tells one state of the SDK's source from another."""
    sources = [*sorted((ROOT / "sdk" / "rollout_sdk").rglob("*.py")), ROOT / "scripts" / "compile_engine.py"]
    digest = sha256(sys.version.encode())
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def build_wheel(kind: str, into: Path) -> Path:
    """Build the wheel.

    Args:
        kind: "compiled" or "pure".
        into: an empty directory.
    """
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", into]
    subprocess.run(
        command,
        cwd=ROOT,
        check=True,
        stdout=sys.stderr,
        env={**os.environ, "ROLLOUT_COMPILE": str(int(kind == "compiled"))},
    )
    (wheel,) = into.glob("*.whl")
    return wheel


def make(kind: str, home: Path) -> None:
    """Make the environment aside, then move it: what is there is whole."""
    aside = home.with_suffix(f".{os.getpid()}")
    venv.create(aside, with_pip=False, symlinks=True)
    python = aside / "bin" / "python"
    with tempfile.TemporaryDirectory() as directory:
        wheel = build_wheel(kind, Path(directory))
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "--python",
            python,
        ]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True, stdout=sys.stderr)
    (packages,) = aside.glob("lib/python*/site-packages")
    # Named in a .pth, so behind what is installed here; an editable install in there is not followed.
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    aside.rename(home)


def main(kind: str) -> None:
    """Make it if need be."""
    home = KEPT / kind / state()
    if not home.exists():
        shutil.rmtree(home.parent, ignore_errors=True)
        home.parent.mkdir(parents=True)
        make(kind, home)
    print(home / "bin" / "python")


if __name__ == "__main__":
    main(sys.argv[1])
