"""The shape of the tree: mirrors, sizes, names, and what may not be committed."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "sdk" / "rollout_sdk" / "wire" / "v1"
PACKAGES = {ROOT / "sdk" / "rollout_sdk": "sdk", ROOT / "rollout_server": "server"}

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# Modules without a unit test of their own, each with what covers it instead.
NO_MIRROR = {
    "rollout_server/__main__.py": "one line; tests/rooms/test_wheel.py runs it",
    "rollout_server/ports.py": "interfaces without code; tests/contract runs each adapter against them",
}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            if GENERATED not in path.parents:
                yield path


def code() -> list[Path]:
    extra = [
        path for name in ("scripts", "examples", "benchmarks", "tests") for path in sorted((ROOT / name).rglob("*.py"))
    ]
    return [*modules(), *extra]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def mirror(module: Path) -> Path:
    package, side = next((package, side) for package, side in PACKAGES.items() if package in module.parents)
    return ROOT / "tests" / "unit" / side / module.relative_to(package).parent / f"test_{module.stem.lstrip('_')}.py"


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 - the developer's own git
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_every_module_has_its_mirror() -> None:
    missing = [
        f"{relative(module)} -> {relative(mirror(module))}"
        for module in modules()
        if module.stem != "__init__" and relative(module) not in NO_MIRROR and not mirror(module).is_file()
    ]
    assert missing == []


def test_exceptions_to_the_mirror_are_still_needed() -> None:
    needless = [name for name in NO_MIRROR if not (ROOT / name).is_file() or mirror(ROOT / name).is_file()]
    assert needless == []


def test_every_unit_test_mirrors_a_module() -> None:
    wanted = {mirror(module) for module in modules()}
    unit = ROOT / "tests" / "unit"
    assert [relative(path) for path in sorted(unit.rglob("test_*.py")) if path not in wanted] == []


def test_modules_fit_in_a_head() -> None:
    sizes = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in code()}
    assert {name: size for name, size in sizes.items() if size > MODULE_LINES_MAX} == {}


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in code()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_no_module_is_a_drawer_for_everything() -> None:
    assert [relative(path) for path in code() if path.stem in {"utils", "util", "helpers", "misc", "common"}] == []


def test_typed_for_callers() -> None:
    assert [relative(package) for package in PACKAGES if not (package / "py.typed").is_file()] == []


@pytest.mark.parametrize(
    ("what", "pattern", "suffix"),
    [
        ("work left undone", r"\b(?:T[O]DO|FIX[M]E|X[X]X|NotImplemented[E]rror)\b", ".py"),
        ("a registry's host", r"py[p]i\.org|files\.python[h]osted|registry\.np[m]js|deb\.de[b]ian\.org", ""),
        ("a path of one machine", r"(?:^|[^A-Za-z0-9_.])/(?:w[o]rk|f[a]rm)/[a-z.]", ""),
    ],
)
def test_nothing_committed_holds(what: str, pattern: str, suffix: str) -> None:
    wanted = re.compile(pattern, re.MULTILINE)
    found = [
        relative(path)
        for path in committed()
        if GENERATED not in path.parents
        and path.name.endswith(suffix)
        and wanted.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == [], f"{what}: {found}"
