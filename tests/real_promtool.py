"""promtool, Prometheus's own reader of rules and queries: `$PROMTOOL`, else beside Prometheus, else on PATH.

Where there is none, tests are skipped with a sentence; with ROLLOUT_REQUIRE_REAL set, as in CI, they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_MISSING = (
    "no promtool to test with; on Debian and Ubuntu: apt-get install --no-install-recommends prometheus "
    "(or name the program in PROMTOOL)"
)


def promtool(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it, and return how it ended with all that it said."""
    beside = [str(Path(named).parent)] if (named := os.environ.get("PROMETHEUS")) else []
    found = os.environ.get("PROMTOOL") or shutil.which("promtool", path=os.pathsep.join([*beside, os.environ["PATH"]]))
    if not found:
        if os.environ.get("ROLLOUT_REQUIRE_REAL"):
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    return subprocess.run([found, *words], cwd=cwd, capture_output=True, text=True, check=False)
