"""Files: YAML and JSON documents as people write them, and the trees that travel and are stored.

`read` and `write` are one pair: `read(write(x)) == x` for every resource that people write.
"""

from rollout_server.domain.files.canonical import canonical_json
from rollout_server.domain.files.cases import Case
from rollout_server.domain.files.document import Document, Loaded, duplicates, load, locate, located
from rollout_server.domain.files.exporting import export, export_json
from rollout_server.domain.files.formatting import fmt
from rollout_server.domain.files.json_schema import schema
from rollout_server.domain.files.reader import expected_version, read
from rollout_server.domain.files.stored import read_status, read_stored, write_status, write_stored
from rollout_server.domain.files.writer import write

__all__ = [
    "Case",
    "Document",
    "Loaded",
    "canonical_json",
    "duplicates",
    "expected_version",
    "export",
    "export_json",
    "fmt",
    "load",
    "locate",
    "located",
    "read",
    "read_status",
    "read_stored",
    "schema",
    "write",
    "write_status",
    "write_stored",
]
