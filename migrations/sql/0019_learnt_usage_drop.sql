ALTER TABLE batch_assets.run_metric DROP COLUMN estimate_error_percent;
ALTER TABLE batch_assets.result_staging DROP COLUMN processing_type;
ALTER TABLE batch_assets.attempt
    DROP COLUMN estimated_cost_eur,
    DROP COLUMN text_bytes;
DROP TABLE batch_assets.learnt_usage;
