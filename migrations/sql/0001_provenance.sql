-- What was made here and what was there before: a downgrade removes only the former. The row stays
-- for as long as tables that were made here stay, so that a later upgrade still knows it.
CREATE TABLE IF NOT EXISTS batch_assets.provenance (
    only_row           boolean     NOT NULL DEFAULT true,
    livedash_made_here boolean     NOT NULL,
    indexes_made_here  text[]      NOT NULL,
    noted_at           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT provenance_pkey PRIMARY KEY (only_row),
    CONSTRAINT provenance_only_row_check CHECK (only_row)
);
