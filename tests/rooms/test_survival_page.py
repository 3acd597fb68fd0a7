"""The page of what the SDK survives names tests that exist, and each long form it promises."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "survival.md").read_text(encoding="utf-8")


def source_of(name: str) -> str:
    path = ROOT / name if name.startswith("tests/") else ROOT / "tests" / "e2e" / name
    return path.read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    """A line without its test would be a promise."""
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    for row in rows:
        named = re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)(?:::(\w+))?`", row.split("|")[3])
        bare = re.findall(r"`(test_\w+)`", row.split("|")[3])
        for file, function in named:
            functions = {node.name for node in ast.walk(ast.parse(source_of(file))) if hasattr(node, "name")}
            assert not function or function in functions, (file, function)
            assert "*soak" not in row or len(named) > 1 or "mark.soak" in source_of(file) or "marks=" in source_of(file)
        for function in bare:
            assert any(f"def {function}(" in source_of(file) for file, _ in named), function
