"""How much of everything. Enforced where things are made; readers accept `READERS_FACTOR` times as much.

So a server of a later release may raise a limit without breaking the SDKs that are already out there.
"""

from __future__ import annotations

READERS_FACTOR = 2

KEY_CHARS = 128
"""Keys of flags, cohorts and rules: `KEY_PATTERN`."""
UNIT_KIND_CHARS = 32
"""Kinds of unit: `KEY_PATTERN`, but shorter."""
VARIANT_KEY_CHARS = 128
"""Printable text without controls, bidi marks and zero-width characters."""
UNIT_KEY_BYTES = 1_024
"""UTF-8 of a unit's key where it is listed: targets and cohorts."""
KEY_PATTERN = r"[a-z0-9][a-z0-9._-]*"
SALT_CHARS = 16

VARIANTS_PER_FLAG = 256
RULES_PER_FLAG = 256
REQUIRES_PER_FLAG = 64
NEVER_PER_FLAG = 64
TARGET_UNITS_PER_FLAG = 10_000
STAGES_PER_PIPELINE = 64
STRATA_PER_PIPELINE = 8
KEYS_PER_COHORT = 1_000_000

CONDITION_DEPTH = 16
"""Levels of one condition: a leaf alone is 1."""
CONDITION_NODES = 1_000
EVALUATION_DEPTH = 64
"""Levels of one decision: conditions, the cohorts they name and the flags required, all counted."""

EVALUATION_NODES = 100_000
"""Nodes that one decision may visit: cohorts and required flags count again wherever they are named."""

VALUES_PER_OPERAND = 10_000
OPERAND_TEXT_BYTES = 4_096
"""UTF-8 of one text in an operand."""
ATTRIBUTE_PATH_CHARS = 256
REGEX_BYTES = 1_024
REGEX_PROGRAM = 1_500
"""Instructions of a compiled expression: with the length of the text, what a search may cost."""
REGEX_SUBJECT_BYTES = 10_000
"""Longer text is of the wrong type for `regex`, so that no context can make an evaluation long."""

SUBJECT_CHARS = 10_000
"""Longer text is of the wrong type for every operator that compares text, so that none can be made to read for long."""
SUBJECT_MEMBERS = 10_000
"""Longer lists are of the wrong type for `any_of`, `all_of` and `none_of`."""

JSON_BYTES = 65_536
"""UTF-8 of one variant's value as JSON."""
JSON_DEPTH = 32
INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1
"""Integers travel as 64 bits, signed; in every variant and operand, for readers too."""

DOCUMENTS_PER_APPLY = 5_000
CONTEXT_JSON_BYTES = 65_536
"""One context as JSON: a line of a population, the context of an explanation."""
