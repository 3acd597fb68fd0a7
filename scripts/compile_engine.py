"""Compiles the hot modules of the engine with mypyc into a wheel: `ROLLOUT_COMPILE=1 python -m build --wheel`.

A hook of hatchling's (pyproject.toml names it). Without the variable it does nothing, and the wheel is pure Python. The
source stays in the wheel beside what is compiled; deleting the compiled files gives the pure engine back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH: Final = "ROLLOUT_COMPILE"
MODULES: Final = (
    "asking",
    "bucketing",
    "cohorts",
    "conditions",
    "counted",
    "decide",
    "exposure",
    "instants",
    "leaves",
    "regex",
    "rows",
    "rules",
    "sample",
    "semver",
    "values",
)
"""What decisions run through. Why not the others: docs/adr/0014-speed.md."""
REQUIRES: Final = ("mmh3>=5.1", "mypy>=2.4,<3", "setuptools>=80")
LENIENT: Final = (
    "--follow-imports=silent",
    "--ignore-missing-imports",
    "--allow-subclassing-any",
    "--no-warn-unused-ignores",
    "--disable-error-code=overload-cannot-match",
)
"""The environment of a build in isolation has no types of gRPC and protobuf; no module that is compiled needs them."""
GROUP: Final = "rollout_sdk_engine"


class CompileEngine(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel, if wanted."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what building takes, for builds in isolation."""
        return list(REQUIRES) if self._is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say that this wheel is of one platform."""
        if not self._is_wanted() or version == "editable":
            return
        built = Path(tempfile.mkdtemp(prefix="rollout-engine-"))
        self._built = built
        subprocess.run([sys.executable, __file__, built], cwd=self.root, check=True)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        for path in sorted((built / "lib").rglob(f"*{suffix}")):
            build_data["force_include"][str(path)] = path.relative_to(built / "lib").as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - as hatchling calls it
        """Let go of what was built."""
        import shutil

        if hasattr(self, "_built"):
            shutil.rmtree(self._built, ignore_errors=True)

    def _is_wanted(self) -> bool:
        return os.environ.get(SWITCH, "") == "1" and self.target_name == "wheel"


def compile_into(built: Path) -> None:
    """Compile in this process, whose directory is the root of the source, into `built/lib`."""
    from mypyc.build import mypycify
    from setuptools import setup

    paths = [f"sdk/rollout_sdk/engine/{module}.py" for module in MODULES]
    extensions = mypycify(
        [*LENIENT, *paths], opt_level="3", debug_level="0", target_dir=str(built / "c"), group_name=GROUP
    )
    setup(
        name="rollout-engine",
        ext_modules=extensions,
        packages=[],
        py_modules=[],
        script_args=[
            *("--quiet", "build_ext", "--build-lib", str(built / "lib"), "--build-temp", str(built / "objects")),
        ],
    )


if __name__ == "__main__":
    compile_into(Path(sys.argv[1]))
