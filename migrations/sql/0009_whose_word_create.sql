-- How far the results of an ended batch could be read: since when some are missing, how often it was
-- looked at again and when that is due next, and how many bytes of its files have come in.
-- `was_split`: its rows were suspected apart, since the server had taken others of the same batch.
ALTER TABLE batch_assets.batch
    ADD COLUMN incomplete_since timestamptz,
    ADD COLUMN looks integer NOT NULL DEFAULT 0,
    ADD COLUMN look_at timestamptz,
    ADD COLUMN output_bytes bigint,
    ADD COLUMN error_bytes bigint,
    ADD COLUMN was_split boolean NOT NULL DEFAULT false;

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
