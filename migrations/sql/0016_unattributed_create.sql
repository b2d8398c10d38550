-- What the server says that it has billed of a batch (its `usage`), NULL where it does not say; and what
-- of that no answer was read for, or an estimate of it.
ALTER TABLE batch_assets.batch
    ADD COLUMN server_prompt_tokens bigint,
    ADD COLUMN server_cached_tokens bigint,
    ADD COLUMN server_completion_tokens bigint,
    ADD COLUMN unattributed_usd double precision NOT NULL DEFAULT 0,
    ADD COLUMN unattributed_eur double precision NOT NULL DEFAULT 0,
    ADD COLUMN unattributed_is_estimated boolean NOT NULL DEFAULT false;
ALTER TABLE batch_assets.run_metric
    ADD COLUMN wasted_unattributed_eur double precision NOT NULL DEFAULT 0;
ALTER TABLE batch_assets.run_metric ALTER COLUMN wasted_unattributed_eur DROP DEFAULT;
