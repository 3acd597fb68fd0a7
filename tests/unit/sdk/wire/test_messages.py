"""The plain messages stay plain."""

import subprocess
import sys


def test_importing_them_loads_no_protobuf() -> None:
    """`import rollout_sdk` uses them, and must stay light."""
    program = "import sys, rollout_sdk.wire.messages; print('google.protobuf' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
