"""A Dockerfile without Docker: reads it, and replays its steps in a directory that stands for the root of the image.

Absolute paths of the steps are moved below that directory. A stage begins with an empty one, and takes from an earlier
stage only what it copies. The base image is stood for by an interpreter with pip, and by the programs of this machine.
Steps run as whoever runs the tests; what the image starts runs as its user, where that can be.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEP_S = 600
_ABSOLUTE = re.compile(r"(?<![\w.:/$}])/(?!usr\b|bin\b|dev\b|tmp\b|etc\b)(?=[a-z])")
_KEPT = ("PIP_", "SSL_", "REQUESTS_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy"})


@dataclass(frozen=True)
class Step:
    """One instruction: "COPY", its flags, and the rest; `words` of the JSON form, else None."""

    name: str
    flags: dict[str, str]
    rest: str
    words: list[str] | None


def read_steps(text: str) -> list[Step]:
    """Return the instructions of a Dockerfile, in order."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = []
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            flags = {}
            while match := re.match(r"\s*--([a-z-]+)=(\S+)\s+", rest):
                flags[match[1]], rest = match[2], rest[match.end() :]
            words = json.loads(rest) if rest.lstrip().startswith("[") else None
            found.append(Step(name.upper(), flags, rest.strip(), words))
    return found


def context(source: Path, target: Path) -> None:
    """Copy what a build is sent: all of the source that `.dockerignore` lets through; the last pattern decides."""
    patterns = [
        line.strip()
        for line in (source / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name and (source / name).is_file() and _is_sent(name, patterns):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def _is_sent(name: str, patterns: list[str]) -> bool:
    parts, sent = name.split("/"), True
    prefixes = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        anywhere = wanted.removeprefix("**/")
        names = parts if anywhere != wanted else prefixes
        if any(fnmatch.fnmatchcase(each, anywhere) for each in names):
            sent = pattern.startswith("!")
    return sent


@dataclass
class Replay:
    """One replay below a directory; `run_all` does it, the rest is what came of it."""

    scratch: Path
    sent: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    volumes: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)
    stop_signal: str = ""

    @property
    def root(self) -> Path:
        return self.scratch / "root"

    def at(self, path: str) -> Path:
        """Where a path of the image lies."""
        return self.root / path.lstrip("/")

    def run_all(self, steps: list[Step]) -> None:
        stage = ""
        for step in steps:
            if step.name == "FROM":
                if stage or self.root.exists():
                    self.root.rename(self.scratch / f"stage-{stage}")
                _, _, stage = step.rest.partition(" AS ")
                self._begin()
            else:
                getattr(self, f"_{step.name.lower()}")(step)

    def start(self, words: list[str], **more: Any) -> subprocess.Popen[str]:
        """Start what the image starts, as its user where this process may become that."""
        options: dict[str, Any] = {}
        if os.geteuid() == 0 and self.can_be_another():
            user, _, group = self.user.partition(":")
            options = {"user": int(user), "group": int(group), "extra_groups": []}
        env = {**self.env, **more}
        program = shutil.which(words[0], path=env["PATH"])
        assert program is not None, f"{words[0]} is not on the image's PATH"
        return subprocess.Popen(
            [program, *words[1:]],
            cwd=self.at(self.workdir),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def can_be_another(self) -> bool:
        """Whether somebody else than root reaches the interpreter."""
        return _is_open(interpreter())

    def _begin(self) -> None:
        self.root.mkdir()
        self.workdir, self.user = "/", ""
        home = self.scratch / "home"
        home.mkdir(exist_ok=True)
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_KEPT) or name.lower() in _PROXIES or name == "TMPDIR"
        }
        self.env = {**kept, "PATH": f"{self._base()}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}

    def _base(self) -> Path:
        """An interpreter with pip, and with nothing else."""
        base = self.scratch / "base"
        if not base.exists():
            subprocess.run([interpreter(), "-m", "venv", "--without-pip", base], check=True)
            import pip

            (packages,) = base.glob("lib/python*/site-packages")
            shutil.copytree(Path(pip.__file__).parent, packages / "pip")
        return base / "bin"

    def _moved(self, text: str) -> str:
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def _env(self, step: Step) -> None:
        for pair in shlex.split(step.rest):
            name, _, value = pair.partition("=")
            self.env[name] = re.sub(r"\$(\w+)", lambda match: self.env[match[1]], self._moved(value))

    def _workdir(self, step: Step) -> None:
        self.workdir = step.rest
        self.at(self.workdir).mkdir(parents=True, exist_ok=True)

    def _run(self, step: Step) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", self._moved(step.rest)],
            cwd=self.at(self.workdir),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        assert done.returncode == 0, f"RUN {step.rest}\n{done.stdout[-4_000:]}{done.stderr[-4_000:]}"

    def _copy(self, step: Step) -> None:
        *sources, target = step.words or step.rest.split()
        origin = self.scratch / f"stage-{step.flags['from']}" if "from" in step.flags else self.sent
        into = self.at(target) if target.startswith("/") else self.at(self.workdir) / target
        for name in sources:
            source = origin / name.lstrip("/")
            assert source.exists(), f"COPY {name}: it is not there, or .dockerignore keeps it out"
            if source.is_dir():
                shutil.copytree(source, into, symlinks=True, dirs_exist_ok=True)
            else:
                place = into / source.name if target.endswith("/") or into.is_dir() else into
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)
        if "chown" in step.flags and os.geteuid() == 0:
            user, _, group = step.flags["chown"].partition(":")
            for path in (into, *into.rglob("*")):
                os.chown(path, int(user), int(group), follow_symlinks=False)

    def _user(self, step: Step) -> None:
        self.user = step.rest

    def _volume(self, step: Step) -> None:
        self.volumes = step.words or step.rest.split()

    def _expose(self, step: Step) -> None:
        self.ports = [int(port) for port in step.rest.split()]

    def _stopsignal(self, step: Step) -> None:
        self.stop_signal = step.rest

    def _healthcheck(self, step: Step) -> None:
        kind, _, words = step.rest.partition(" ")
        assert kind == "CMD"
        self.said["HEALTHCHECK"] = json.loads(words)

    def _entrypoint(self, step: Step) -> None:
        self.said["ENTRYPOINT"] = step.words or []

    def _cmd(self, step: Step) -> None:
        self.said["CMD"] = step.words or []


def interpreter() -> Path:
    """An interpreter that others reach too, where this machine has one; else the one that runs the tests."""
    own = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    known = [own, *(Path(found) for found in [shutil.which("python3", path="/usr/bin:/usr/local/bin")] if found)]
    for path in known:
        if _is_open(path) and _is_new(path):
            return path
    return own


def _is_open(path: Path) -> bool:
    whole = path.resolve()
    return all(each.stat().st_mode & 0o001 for each in (whole, *whole.parents))


def _is_new(path: Path) -> bool:
    asked: list[str | Path] = [path, "-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0
