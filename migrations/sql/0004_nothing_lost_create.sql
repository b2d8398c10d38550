-- Which line of its batch's input file a request is, so that the line which the server names can be
-- found again: lines are the positions of those that were not left out, in their order. And when a
-- live call for it was begun, which nobody can look up afterwards.
ALTER TABLE batch_assets.attempt
    ADD COLUMN position integer,
    ADD COLUMN called_at timestamptz;

-- A live batch is one whose requests are sent one by one: it is never on the server. A batch of
-- suspects is a part of another one that the server refused without a word on which line was wrong.
ALTER TABLE batch_assets.batch
    ADD COLUMN kind text NOT NULL DEFAULT 'batch',
    ADD COLUMN suspect_of text,
    ADD COLUMN server_error_lines integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN cancelled_at timestamptz,
    ADD CONSTRAINT batch_kind_check CHECK (kind IN ('batch', 'live'));
CREATE INDEX batch_suspect_of_idx ON batch_assets.batch (suspect_of)
    WHERE suspect_of IS NOT NULL;

-- What a run has finished, and what has died in it, is looked at when it ends.
CREATE INDEX batch_settled_at_idx ON batch_assets.batch (settled_at)
    WHERE settled_at IS NOT NULL;
CREATE INDEX batch_released_at_idx ON batch_assets.batch (released_at)
    WHERE released_at IS NOT NULL;
CREATE INDEX dead_letter_dead_at_idx ON batch_assets.dead_letter (dead_at, request_id);

-- Requests of a refused batch of which some line is wrong: those of one lot go together, without
-- others, until the wrong ones are found.
CREATE TABLE batch_assets.suspect (
    request_id   text        NOT NULL,
    company_id   text        NOT NULL,
    lot          text        NOT NULL,
    root_batch_id text NOT NULL,
    found_in     text        NOT NULL,
    suspected_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT suspect_pkey PRIMARY KEY (request_id)
);
CREATE INDEX suspect_lot_idx ON batch_assets.suspect (lot);

-- Second batches of one intent: cancelled, with what they would have cost.
CREATE TABLE batch_assets.duplicate_batch (
    openai_batch_id    text             NOT NULL,
    batch_id           text             NOT NULL,
    estimated_cost_eur double precision NOT NULL,
    found_at           timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    cancelled_at       timestamptz,
    CONSTRAINT duplicate_batch_pkey PRIMARY KEY (openai_batch_id)
);
CREATE INDEX duplicate_batch_batch_id_idx ON batch_assets.duplicate_batch (batch_id);

-- Requests that an operator wants to be sent live, at the full price.
CREATE TABLE batch_assets.live_request (
    request_id text        NOT NULL,
    company_id text        NOT NULL,
    asked_by   text        NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT live_request_pkey PRIMARY KEY (request_id)
);

-- API operations that failed several times in a row, for all runs to see.
CREATE TABLE batch_assets.breaker (
    operation  text        NOT NULL,
    state      text        NOT NULL,
    failures   integer     NOT NULL,
    code       text        NOT NULL,
    reason     text        NOT NULL,
    retry_at   timestamptz,
    changed_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT breaker_pkey PRIMARY KEY (operation),
    CONSTRAINT breaker_state_check CHECK (state IN ('closed', 'open', 'half_open')),
    CONSTRAINT breaker_retry_check CHECK (state <> 'open' OR retry_at IS NOT NULL)
);

-- Why the schedule starts nothing for a while, and until when; and since when failures count again.
CREATE TABLE batch_assets.scheduler_pause (
    only_row    boolean     NOT NULL DEFAULT true,
    failed_runs integer     NOT NULL DEFAULT 0,
    until       timestamptz,
    reason      text        NOT NULL DEFAULT '',
    reset_at    timestamptz,
    reset_by    text,
    changed_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT scheduler_pause_pkey PRIMARY KEY (only_row),
    CONSTRAINT scheduler_pause_only_row_check CHECK (only_row)
);

-- What an answer says of its session comes in by COPY, too; `line` is the order of the outcomes.
ALTER TABLE batch_assets.result_staging
    ADD COLUMN line integer NOT NULL,
    ADD COLUMN language text,
    ADD COLUMN sentiment text,
    ADD COLUMN category text,
    ADD COLUMN escalated boolean,
    ADD COLUMN forwarded_hr boolean,
    ADD COLUMN summary text,
    ADD COLUMN questions text[];

-- The questions of sessions between the statement that locks the sessions and those that write them.
CREATE UNLOGGED TABLE batch_assets.question_staging (
    session_id text   NOT NULL,
    questions  text[] NOT NULL
);
