"""The launcher: stdlib only, and plain about what is missing."""

import subprocess
import sys

import pytest

from rollout_server import launcher


def test_names_the_install_when_the_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rollout_server.cli.main", None)
    monkeypatch.setattr(launcher, "_OURS", frozenset[str]())
    assert launcher.main() == 1
    assert "pip install 'rollout-guard[all]'" in capsys.readouterr().err


def test_a_broken_install_is_not_blamed_on_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rollout_server.cli.main", None)
    with pytest.raises(ModuleNotFoundError):
        launcher.main()


def test_importing_it_loads_nothing_but_the_standard_library() -> None:
    program = (
        "import sys, rollout_server.launcher\n"
        "names = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print('click' in names or 'grpc' in names or 'rich' in names)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
