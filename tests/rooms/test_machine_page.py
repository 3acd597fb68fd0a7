"""docs/machine.md draws the machine as it is."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "write_machine_diagram.py"
PAGE = ROOT / "docs" / "machine.md"


def test_the_diagram_is_fresh() -> None:
    """The committed page is what the script writes today."""
    result = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_diagram_can_be_drawn() -> None:
    """Arrows join states that exist, and labels hold nothing that ends them early."""
    text = PAGE.read_text(encoding="utf-8")
    block = text.split("```mermaid\n")[1].split("```")[0]
    arrows = re.findall(r"^    (\S+) --> ([a-z_]+|\[\*\])(?:: (.+))?$", block, re.MULTILINE)
    assert len(arrows) == block.count("-->") > 20
    assert not [label for _, _, label in arrows if set(label) & set(';:"')]
