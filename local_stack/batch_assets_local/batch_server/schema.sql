-- The state of the local Batch API server. Times are Unix seconds with fractions.

BEGIN IMMEDIATE;

CREATE TABLE file (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,   -- the order of lists and cursors
    id         TEXT NOT NULL UNIQUE,
    filename   TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL,
    deleted_at REAL                                 -- kept as a tombstone: cursors stay valid
);

CREATE TABLE batch (
    seq                    INTEGER PRIMARY KEY AUTOINCREMENT,
    id                     TEXT NOT NULL UNIQUE,
    input_file_id          TEXT NOT NULL,
    endpoint               TEXT NOT NULL,
    completion_window      TEXT NOT NULL,
    metadata               TEXT,                    -- JSON object
    output_expires_seconds INTEGER,
    status                 TEXT NOT NULL,
    model                  TEXT,                    -- the snapshot, known after validation
    errors                 TEXT,                    -- JSON array of {code, message, param, line}
    output_file_id         TEXT,
    error_file_id          TEXT,
    created_at             REAL NOT NULL,
    expires_at             REAL NOT NULL,
    in_progress_at         REAL,
    finalizing_at          REAL,
    completed_at           REAL,
    failed_at              REAL,
    expired_at             REAL,
    cancelling_at          REAL,
    cancelled_at           REAL,
    total                  INTEGER NOT NULL DEFAULT 0,
    completed              INTEGER NOT NULL DEFAULT 0,
    failed                 INTEGER NOT NULL DEFAULT 0,
    input_tokens           INTEGER NOT NULL DEFAULT 0,
    cached_tokens          INTEGER NOT NULL DEFAULT 0,
    output_tokens          INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens       INTEGER NOT NULL DEFAULT 0,
    enqueued_tokens        INTEGER NOT NULL DEFAULT 0,
    scanned                INTEGER NOT NULL DEFAULT 0, -- 1 once the input file was read through
    next_offset            INTEGER NOT NULL DEFAULT 0, -- bytes of the input that are done with
    next_line              INTEGER NOT NULL DEFAULT 1, -- the line that starts at next_offset
    ending                 TEXT,                    -- completed, expired or cancelled, once decided
    fate                   TEXT,                    -- JSON: the batch rule that struck, if any
    due_at                 REAL                     -- when the worker looks again; null: never
);

CREATE INDEX batch_due ON batch (due_at, seq) WHERE due_at IS NOT NULL;

-- Result lines of batches that run; they move to files when the batch ends.
CREATE TABLE result (
    batch_id  TEXT NOT NULL,
    target    TEXT NOT NULL,                        -- output or error
    sort_key  INTEGER NOT NULL,
    line      BLOB NOT NULL                         -- with its newline
);

CREATE INDEX result_order ON result (batch_id, target, sort_key);

-- What OpenAI would have billed. Append-only, and without any constraint that could hide a row
-- that was billed twice.
CREATE TABLE ledger (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at        REAL NOT NULL,
    kind              TEXT NOT NULL,                -- batch or live
    custom_id         TEXT,
    batch_id          TEXT,
    input_file_id     TEXT,
    model             TEXT NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    service_tier      TEXT,                         -- of a synchronous call
    metadata          TEXT                          -- JSON object of the batch or the synchronous call
);

-- How often each rule was asked and struck, so that a restart does not start it anew.
CREATE TABLE rule_counter (
    rule  TEXT PRIMARY KEY,
    asked INTEGER NOT NULL,
    fired INTEGER NOT NULL
) WITHOUT ROWID;

PRAGMA user_version = 2;

COMMIT;
