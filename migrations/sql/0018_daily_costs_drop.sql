DROP TABLE batch_assets.run_reading;
ALTER TABLE batch_assets.abandoned_batch DROP COLUMN wasted_cost_usd;
ALTER TABLE batch_assets.batch DROP COLUMN is_kept;
DROP TABLE batch_assets.daily_cost;
