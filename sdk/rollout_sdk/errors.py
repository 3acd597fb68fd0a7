"""What the SDK can refuse, all of it while a client is made. A decision never raises.

RolloutError
├── InvalidSettings   whoever configures: mend the settings
└── Corrupt           whoever made the file: `Client.offline` cannot read it
"""

from __future__ import annotations

from typing import ClassVar


class RolloutError(Exception):
    """Base of every refusal.

    Attributes:
        code: stable across releases.
        hint: what to do next, in one sentence.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.hint = hint


class InvalidSettings(RolloutError):
    """A setting cannot be used as it is; `setting` names which."""

    code = "invalid_settings"

    def __init__(self, setting: str, message: str, hint: str) -> None:
        super().__init__(f"{setting}: {message}", hint)
        self.setting = setting


class Corrupt(RolloutError):
    """A ruleset file that was named outright does not parse, or its checksum does not hold."""

    code = "corrupt"

    def __init__(self, where: str, message: str, hint: str) -> None:
        super().__init__(f"{where}: {message}", hint)
        self.where = where
