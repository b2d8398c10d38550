-- How far the results of an ended batch could be read: since when some are missing, how often it was
-- looked at again and when that is due next, and how many bytes of its files have come in.
-- `lot` is the part of a refused batch that it holds, and `was_split` says that it was refused, too, and
-- its rows suspected further, since the server had taken the other part.
ALTER TABLE batch_assets.batch
    ADD COLUMN incomplete_since timestamptz,
    ADD COLUMN looks integer NOT NULL DEFAULT 0,
    ADD COLUMN look_at timestamptz,
    ADD COLUMN output_bytes bigint,
    ADD COLUMN error_bytes bigint,
    ADD COLUMN lot text,
    ADD COLUMN was_split boolean NOT NULL DEFAULT false;
ALTER TABLE batch_assets.suspect DROP COLUMN found_in;

-- Since when the server processes an input file, while no batch of it was asked for; and how many
-- answers of a batch have cost what no price list says.
ALTER TABLE batch_assets.batch
    ADD COLUMN file_pending_since timestamptz,
    ADD COLUMN unpriced bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_assets.run_metric ADD COLUMN unpriced_answers bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_assets.run_metric ALTER COLUMN unpriced_answers DROP DEFAULT;

-- When the server was last asked for a batch alone, where a page of its list is asked for them all.
ALTER TABLE batch_assets.batch ADD COLUMN retrieved_at timestamptz;

-- What was tried before an operator began a request anew counts for nothing, rests included.
ALTER TABLE batch_assets.attempt ADD COLUMN forgiven boolean NOT NULL DEFAULT false;

-- A rest that follows another one is longer.
ALTER TABLE batch_assets.model_pause ADD COLUMN rests integer NOT NULL DEFAULT 1;

-- The account rests: the server refuses whatever it is sent.
CREATE TABLE batch_assets.account_pause (
    only_row   boolean     NOT NULL DEFAULT true,
    until      timestamptz NOT NULL,
    reason     text        NOT NULL,
    rests      integer     NOT NULL DEFAULT 1,
    CONSTRAINT account_pause_pkey PRIMARY KEY (only_row),
    CONSTRAINT account_pause_only_row_check CHECK (only_row)
);

-- With which key and address a batch is made (a short hash, from which neither can be told), and since
-- when it is looked for on the server.
ALTER TABLE batch_assets.batch
    ADD COLUMN account text,
    ADD COLUMN sought_at timestamptz;

-- How far the server's lists were read to find what is unresolved: it may take several runs.
CREATE TABLE batch_assets.search (
    only_row       boolean     NOT NULL DEFAULT true,
    account        text        NOT NULL,
    began_at       timestamptz,
    reading        text        NOT NULL,
    after          text,
    lists_files    boolean     NOT NULL DEFAULT true,
    files          jsonb       NOT NULL DEFAULT '{}',
    batches        jsonb       NOT NULL DEFAULT '{}',
    shown_batches  text[]      NOT NULL DEFAULT '{}',
    shown_files    text[]      NOT NULL DEFAULT '{}',
    anchored_at    timestamptz,
    CONSTRAINT search_pkey PRIMARY KEY (only_row),
    CONSTRAINT search_only_row_check CHECK (only_row),
    CONSTRAINT search_reading_check CHECK (reading IN ('files', 'batches'))
);

-- What carries this installation's id on the server, and the id of a batch that is not in `batch`.
CREATE TABLE batch_assets.unknown_batch (
    remote_id       text        NOT NULL,
    batch_id        text        NOT NULL,
    made_at         timestamptz,
    found_at        timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    acknowledged_at timestamptz,
    CONSTRAINT unknown_batch_pkey PRIMARY KEY (remote_id)
);
CREATE INDEX unknown_batch_found_at_idx ON batch_assets.unknown_batch (found_at)
    WHERE acknowledged_at IS NULL;
-- What others made under this installation's id before this moment is none of its concern.
ALTER TABLE batch_assets.installation ADD COLUMN alone_since timestamptz;

ALTER TABLE batch_assets.run_metric
    ADD COLUMN unproved_submissions bigint NOT NULL DEFAULT 0,
    ADD COLUMN unknown_batches bigint,
    ADD COLUMN server_failures bigint NOT NULL DEFAULT 0,
    ADD COLUMN incomplete_batches bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_assets.run_metric
    ALTER COLUMN unproved_submissions DROP DEFAULT,
    ALTER COLUMN server_failures DROP DEFAULT,
    ALTER COLUMN incomplete_batches DROP DEFAULT;

-- Batches that were given up. What they still bring is read, at `look_at` until it is null, and what
-- their answers cost is waste: their requests were bought again.
CREATE TABLE batch_assets.abandoned_batch (
    batch_id        text             NOT NULL,
    abandoned_at    timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    looks           integer          NOT NULL DEFAULT 0,
    look_at         timestamptz,
    answers         bigint           NOT NULL DEFAULT 0,
    wasted_cost_eur double precision NOT NULL DEFAULT 0,
    booked_at       timestamptz,
    read_at         timestamptz,
    CONSTRAINT abandoned_batch_pkey PRIMARY KEY (batch_id),
    CONSTRAINT abandoned_batch_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES batch_assets.batch (id),
    CONSTRAINT abandoned_batch_read_check CHECK (read_at IS NULL OR look_at IS NULL)
);
INSERT INTO batch_assets.abandoned_batch (batch_id, abandoned_at, look_at)
SELECT b.id, b.server_status_since, CURRENT_TIMESTAMP
FROM batch_assets.batch AS b
WHERE b.state IN ('ended', 'settled')
    AND b.server_status = 'lost'
    AND b.ended_at > CURRENT_TIMESTAMP - interval '30 days';
CREATE INDEX abandoned_batch_look_at_idx
    ON batch_assets.abandoned_batch (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX abandoned_batch_booked_at_idx
    ON batch_assets.abandoned_batch (booked_at) WHERE booked_at IS NOT NULL;

ALTER TABLE batch_assets.run_metric
    ADD COLUMN wasted_abandoned_eur double precision NOT NULL DEFAULT 0;
ALTER TABLE batch_assets.run_metric ALTER COLUMN wasted_abandoned_eur DROP DEFAULT;

-- What the server has turned out to take in one file, which may be less than it says; for a while.
ALTER TABLE batch_assets.installation
    ADD COLUMN upload_bytes bigint,
    ADD COLUMN upload_bytes_until timestamptz;
