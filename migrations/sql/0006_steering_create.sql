-- Which implementation of the operations an operator has chosen for all runs; without a row the
-- environment says.
CREATE TABLE batch_assets.query_mode (
    only_row  boolean     NOT NULL DEFAULT true,
    mode      text        NOT NULL,
    chosen_by text        NOT NULL,
    chosen_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT query_mode_pkey PRIMARY KEY (only_row),
    CONSTRAINT query_mode_only_row_check CHECK (only_row),
    CONSTRAINT query_mode_mode_check CHECK (mode IN ('original', 'optimized', 'auto'))
);

-- The run that has read a batch's results last, beside the one that has sent it.
ALTER TABLE batch_assets.batch
    ADD COLUMN read_run_id text NOT NULL DEFAULT '';
