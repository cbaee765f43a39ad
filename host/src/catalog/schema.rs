//! The catalog's tables.
//!
//! A new version appends a migration; the ones that were released never change.

use crate::db::Kind;

pub(super) const KIND: Kind = Kind {
    name: "Stockade catalog",
    application_id: 0x5354_4b43,
    migrations: &[FIRST, HEALTH, ANSWERS, MOVES],
    connection_sql: "",
    page_bytes: 4_096,
    cache_kib: 512,
};

const FIRST: &str = "
CREATE TABLE tenants (
    name      TEXT PRIMARY KEY,
    policy    TEXT NOT NULL,               -- the policy's files, as one JSON text
    suspended INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Every version that a label ever had; the one in use is the newest that is not retired.
CREATE TABLE plugins (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
    label   TEXT NOT NULL,
    digest  TEXT NOT NULL,                 -- BLAKE3 of the bytes, hexadecimal
    kind    TEXT NOT NULL,                 -- chunker | agent
    options TEXT NOT NULL,                 -- what it declared: JSON
    retired INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX plugins_by_label ON plugins (tenant, label, id);

-- What a tenant chose; roles without a row have the built-in default.
CREATE TABLE uses (
    tenant  TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
    role    TEXT NOT NULL,                 -- agent | chunker | chunker:<media type>
    label   TEXT NOT NULL,
    options TEXT NOT NULL,                 -- what the user set: JSON
    PRIMARY KEY (tenant, role)
) STRICT, WITHOUT ROWID;
";

const HEALTH: &str = "
-- Whether a version ever completed a task, and when the breaker took it out of use: then it is retired too.
ALTER TABLE plugins ADD COLUMN worked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plugins ADD COLUMN put_back_ms INTEGER; -- Unix time

CREATE TABLE breakers (
    tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
    digest TEXT NOT NULL,                  -- of the plugin, which may be a built-in one
    open   INTEGER NOT NULL,
    state  TEXT NOT NULL,                  -- its recent tasks and stops: JSON
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

-- Versions of documents that were stopped by their chunker's fault; from the second stop on: quarantined.
CREATE TABLE stopped (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
    version  BLOB NOT NULL,                -- the hash that decides a version
    document TEXT NOT NULL,                -- its id at the time
    stops    INTEGER NOT NULL,
    stop     TEXT NOT NULL,                -- the last one: JSON
    UNIQUE (tenant, version)
) STRICT;
CREATE INDEX stopped_by_age ON stopped (tenant, id);
";

const ANSWERS: &str = "
-- Questions to each version of an agent, by what came of them.
CREATE TABLE answers (
    tenant   TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
    label    TEXT NOT NULL,                -- under which it answered; built-in ones too
    digest   TEXT NOT NULL,
    answers  INTEGER NOT NULL,
    empty    INTEGER NOT NULL,             -- of them, without a passage
    degraded INTEGER NOT NULL,             -- of them, worse than they could be, as their receipts say
    denied   INTEGER NOT NULL,             -- of them, with a retrieval call that was denied
    stopped  INTEGER NOT NULL,             -- besides: no answer, by the agent's own fault
    last     INTEGER NOT NULL,             -- grows: the largest of a tenant was written last
    PRIMARY KEY (tenant, label, digest)
) STRICT, WITHOUT ROWID;
";

const MOVES: &str = "
-- Of the policy: what is read is what was written.
ALTER TABLE tenants ADD COLUMN seal BLOB;

-- What remains to be done with folders: the tenant's goes, and the one beside it takes its place.
CREATE TABLE moves (
    tenant TEXT PRIMARY KEY,
    source TEXT                            -- a folder in tenants/; NULL: nothing takes its place
) STRICT, WITHOUT ROWID;
";
