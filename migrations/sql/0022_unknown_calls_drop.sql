ALTER TABLE batch_assets.run_metric DROP COLUMN unknown_calls_percent;
