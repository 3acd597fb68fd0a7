"""The tables of a store. One file holds all environments of a server.

`entry` is the truth; `resource` is its fold, kept for a quick start; `change` is its index by resource. All three are
written in one transaction and compared by `rollout audit verify`. No STRICT tables: Python's SQLite may be older.
"""

from __future__ import annotations

from dataclasses import dataclass

APPLICATION_ID = 0x526F4775
""""RoGu", in the file's header: tells a store from anybody else's database."""

FORMAT = 2
"""Raised by a release that changes the tables; a store of a later format is refused."""

TABLES = frozenset({"store", "environment", "entry", "change", "resource", "checkpoint", "idempotency", "lease"})

LEASE = """
CREATE TABLE lease (
  environment INTEGER PRIMARY KEY,
  fence       INTEGER NOT NULL                -- the newest token; entries decided under an older one are refused
);
"""
"""What format 2 added."""

_TABLES = """
CREATE TABLE store (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  is_copy INTEGER NOT NULL                    -- 1 in a backup: whoever opens it makes new epochs
);
INSERT INTO store VALUES (1, 0);

CREATE TABLE environment (
  id       INTEGER PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  epoch    TEXT NOT NULL,
  revision INTEGER NOT NULL,                  -- of the head
  digest   BLOB NOT NULL,
  at_ms    INTEGER NOT NULL,
  oldest   INTEGER NOT NULL,                  -- revision of the checkpoint; entries up to it are gone
  marks    BLOB NOT NULL                      -- sum of the marks of all resources
);

CREATE TABLE entry (
  environment INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  at_ms       INTEGER NOT NULL,
  digest      BLOB NOT NULL,
  body        BLOB NOT NULL,
  PRIMARY KEY (environment, revision)
);

CREATE TABLE change (
  environment INTEGER NOT NULL,
  kind        TEXT NOT NULL,
  key         TEXT NOT NULL,
  revision    INTEGER NOT NULL,
  PRIMARY KEY (environment, kind, key, revision)
) WITHOUT ROWID;
CREATE INDEX change_by_revision ON change (environment, revision);

CREATE TABLE resource (
  environment INTEGER NOT NULL,
  kind        TEXT NOT NULL,
  key         TEXT NOT NULL,
  version     INTEGER NOT NULL,
  body        BLOB NOT NULL,
  PRIMARY KEY (environment, kind, key)
);

CREATE TABLE checkpoint (
  environment INTEGER PRIMARY KEY,
  body        BLOB NOT NULL,
  signature   BLOB NOT NULL
);

CREATE TABLE idempotency (
  environment INTEGER NOT NULL,
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  revision    INTEGER NOT NULL,
  at_ms       INTEGER NOT NULL,               -- by the server's clock, which may differ from the entry's time
  entry_at_ms INTEGER,                        -- the entry itself, once it was compacted away
  digest      BLOB,
  body        BLOB,
  PRIMARY KEY (environment, key)
);
CREATE INDEX idempotency_by_time ON idempotency (environment, at_ms);
CREATE INDEX idempotency_by_revision ON idempotency (environment, revision);
"""

SCHEMA = _TABLES + LEASE


@dataclass(frozen=True, slots=True)
class Layout:
    """What is in a file of ours, and how it is told from others.

    Attributes:
        application_id: in the file's header.
        format: raised by a release that changes the tables.
        what: for people.
        upgrades: what makes format 2 of format 1, and so on.
        on_copy: done to a copy.
    """

    application_id: int
    format: int
    tables: frozenset[str]
    schema: str
    what: str
    upgrades: tuple[str, ...] = ()
    on_copy: str = ""


JOURNAL = Layout(APPLICATION_ID, FORMAT, TABLES, SCHEMA, "journal", (LEASE,), "UPDATE store SET is_copy = 1;")
