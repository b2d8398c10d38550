ALTER TABLE batch_assets.batch
    DROP COLUMN read_run_id;
DROP TABLE batch_assets.query_mode;
