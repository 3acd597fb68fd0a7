"""The wheel, installed: the base says what is missing, the extra makes `rollout` work."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(sysconfig.get_path("purelib"))
BASE = ("google-re2", "grpcio", "mmh3", "protobuf", "typing-extensions")

# One worker builds, once.
pytestmark = pytest.mark.xdist_group("wheel")


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target)
    assert built.returncode == 0, built.stderr
    (path,) = target.glob("*.whl")
    return path


def install(wheel: Path, target: Path) -> tuple[Path, Path]:
    """A fresh environment that holds the wheel and nothing else: its scripts and its packages."""
    venv.create(target, with_pip=False, symlinks=True)
    scripts = target / "bin"
    made = run(sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--no-deps", "--no-index", wheel)
    assert made.returncode == 0, made.stderr
    (packages,) = target.glob("lib/python*/site-packages")
    return scripts, packages


def top_levels(name: str) -> Iterator[str]:
    for file in distribution(name).files or ():
        if file.parts[0] not in {"..", "__pycache__"}:
            yield file.parts[0]


def test_base_install_names_the_install_to_type(wheel: Path, tmp_path: Path) -> None:
    scripts, packages = install(wheel, tmp_path / "base")
    for name in {top for base in BASE for top in top_levels(base)}:
        if not (packages / name).exists():
            (packages / name).symlink_to(HERE / name)
    imported = run(scripts / "python", "-c", "import rollout_sdk.engine, rollout_sdk.wire", cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    for command in ([scripts / "rollout"], [scripts / "python", "-m", "rollout_server"]):
        result = run(*command, cwd=tmp_path)
        assert result.returncode == 1, result.stderr
        assert "pip install 'rollout-guard[all]'" in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""


def test_full_install_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    scripts, packages = install(wheel, tmp_path / "full")
    (packages / "borrowed.pth").write_text(f"{HERE}\n", encoding="utf-8")
    result = run(scripts / "rollout", "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "kill" in result.stdout
    assert (packages / "rollout_server" / "_examples" / "shop").is_dir()
    for package in ("rollout_sdk", "rollout_server"):
        assert (packages / package / "py.typed").is_file()
    origin = run(scripts / "python", "-c", "import rollout_server; print(rollout_server.__file__)", cwd=tmp_path)
    assert Path(origin.stdout.strip()).is_relative_to(packages)
    with Terminal(tmp_path, [str(scripts / "rollout")]) as terminal:
        assert "kill checkout-v2" in terminal.line("kill checkout-v2")
        assert "one click" in terminal.line("checkout: ")
