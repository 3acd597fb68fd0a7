"""How much a document may hold before anybody looks at what it means.

These bound what is read, whoever wrote it; what a flag or a cohort may hold is `rollout_sdk.engine.limits`.
"""

from __future__ import annotations

TEXT_BYTES_MAX = 64 * 1024 * 1024
"""One file. A cohort of a million UUIDs as JSON takes 39 MiB."""

YAML_DOCUMENT_BYTES_MAX = 32 * 1024 * 1024
"""One YAML document; larger cohorts are given as JSON, which is read a hundred times faster."""

DOCUMENTS_MAX = 10_000
"""Documents in one file: twice of what one apply takes."""

DEPTH_MAX = 100
"""Maps and lists inside each other: 32 conditions deep, twice over, and what is around them."""

DIGITS_MAX = 400
"""Digits of one number: above it Python refuses or takes long."""

PROBLEMS_MAX = 200
"""Problems told of one document; who has more mends these first."""

OWNER_CHARACTERS_MAX = 256
DESCRIPTION_CHARACTERS_MAX = 10_000
TAGS_MAX = 64
TAG_CHARACTERS_MAX = 128
CASES_MAX = 10_000
UNIT_CHARACTERS_MAX = 32
"""What a metric's values are: "seconds", "EUR"."""
QUERY_CHARACTERS_MAX = 4_000
"""One PromQL query."""
URL_CHARACTERS_MAX = 2_000
ARGUMENTS_MAX = 64
"""Arguments of a channel's command."""
MEMBERS_MAX = 1_000
"""People in one group of a policy."""
