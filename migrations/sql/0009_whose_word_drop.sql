DROP TABLE batch_assets.account_pause;
ALTER TABLE batch_assets.model_pause DROP COLUMN rests;
ALTER TABLE batch_assets.attempt DROP COLUMN forgiven;
ALTER TABLE batch_assets.batch DROP COLUMN retrieved_at;
ALTER TABLE batch_assets.batch
    DROP COLUMN was_split,
    DROP COLUMN error_bytes,
    DROP COLUMN output_bytes,
    DROP COLUMN look_at,
    DROP COLUMN looks,
    DROP COLUMN incomplete_since;
