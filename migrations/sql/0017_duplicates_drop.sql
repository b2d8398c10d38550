ALTER TABLE batch_assets.duplicate_batch
    DROP COLUMN cost_eur,
    DROP COLUMN cost_usd;
