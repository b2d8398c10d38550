DROP INDEX batch_assets.duplicate_batch_found_at_idx;
DROP TABLE batch_assets.alert;
DROP TABLE batch_assets.run_metric;
