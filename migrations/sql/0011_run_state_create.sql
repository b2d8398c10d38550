-- What each op of a run hands on to the ops after it, where these may run in other processes or on
-- other hosts. It is of use for as long as the run is under way, and goes a day after that.
CREATE TABLE batch_assets.run_state (
    run_id      text        NOT NULL,
    op          text        NOT NULL,
    state       jsonb       NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT run_state_pkey PRIMARY KEY (run_id, op)
);
CREATE INDEX run_state_recorded_at_idx ON batch_assets.run_state (recorded_at);
