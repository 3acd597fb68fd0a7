"""The tables of the telemetry store. One file holds all environments of a server, beside the journal's.

Sums merge when they come: `cell` holds one arm of one metric in one window, whoever reported it. `outcome` and `unit`
remember by keyed hash who was counted, so that a unit counts once in its run. Hashes are stored less 2^63: SQLite's
integers have a sign.
"""

from rollout_server.adapters.sqlite_schema import Layout

_SCHEMA = """
CREATE TABLE meta (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  window_ms INTEGER NOT NULL                  -- 0 until the store is first opened
);
INSERT INTO meta VALUES (1, 0);

CREATE TABLE run (
  id          INTEGER PRIMARY KEY,
  environment TEXT NOT NULL,
  rollout     TEXT NOT NULL,
  number      INTEGER NOT NULL,
  last_window INTEGER NOT NULL,
  fence       INTEGER NOT NULL DEFAULT 0,     -- of the checkpoint
  body        BLOB,                           -- the checkpoint, NULL before the first
  UNIQUE (environment, rollout, number)
);

CREATE TABLE instance (
  environment TEXT NOT NULL,
  name        TEXT NOT NULL,
  sequence    INTEGER NOT NULL,               -- of the last report committed
  heard_at_ms INTEGER NOT NULL,
  PRIMARY KEY (environment, name)
) WITHOUT ROWID;
CREATE INDEX instance_by_time ON instance (environment, heard_at_ms);

CREATE TABLE cell (
  run        INTEGER NOT NULL,
  metric     TEXT NOT NULL,
  window     INTEGER NOT NULL,
  allocation INTEGER NOT NULL,
  reach_ppm  INTEGER NOT NULL,
  stratum    TEXT NOT NULL,
  arm        TEXT NOT NULL,
  body       BLOB NOT NULL,
  PRIMARY KEY (run, metric, window, allocation, reach_ppm, stratum, arm)
) WITHOUT ROWID;

CREATE TABLE sample (
  run    INTEGER NOT NULL,
  metric TEXT NOT NULL,                       -- empty for exposures
  bound  INTEGER NOT NULL,                    -- units below it are kept; the highest integer keeps all
  count  INTEGER NOT NULL,
  PRIMARY KEY (run, metric)
) WITHOUT ROWID;

CREATE TABLE outcome (
  run    INTEGER NOT NULL,
  metric TEXT NOT NULL,
  unit   INTEGER NOT NULL,
  PRIMARY KEY (run, metric, unit)
) WITHOUT ROWID;

CREATE TABLE unit (
  run        INTEGER NOT NULL,
  unit       INTEGER NOT NULL,
  allocation INTEGER NOT NULL,                -- where it was seen first, as all that follows
  reach_ppm  INTEGER NOT NULL,
  stratum    TEXT NOT NULL,
  arm        TEXT NOT NULL,
  exposed    INTEGER,                         -- window
  reporting  INTEGER,                         -- window
  PRIMARY KEY (run, unit)
) WITHOUT ROWID;
CREATE INDEX unit_by_exposed ON unit (run, exposed);
CREATE INDEX unit_by_reporting ON unit (run, reporting);

CREATE TABLE stratum (
  run  INTEGER NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (run, name)
) WITHOUT ROWID;

CREATE TABLE judged (
  run    INTEGER NOT NULL,
  metric TEXT NOT NULL,
  window INTEGER NOT NULL,
  PRIMARY KEY (run, metric)
) WITHOUT ROWID;

CREATE TABLE process (
  environment TEXT NOT NULL,
  window      INTEGER NOT NULL,
  lived       INTEGER NOT NULL,
  lost        INTEGER NOT NULL,
  PRIMARY KEY (environment, window)
) WITHOUT ROWID;

CREATE TABLE ledger (
  environment TEXT NOT NULL,
  book        TEXT NOT NULL,                  -- 'unattributed' by metric, 'loss' by reason
  name        TEXT NOT NULL,
  count       INTEGER NOT NULL,
  PRIMARY KEY (environment, book, name)
) WITHOUT ROWID;
"""

TELEMETRY = Layout(
    application_id=0x526F4774,
    format=1,
    tables=frozenset(
        {
            "meta",
            "run",
            "instance",
            "cell",
            "sample",
            "outcome",
            "unit",
            "stratum",
            "judged",
            "process",
            "ledger",
        }
    ),
    schema=_SCHEMA,
    what="telemetry",
)
""""RoGt" in the file's header."""
