ALTER TABLE batch_assets.run_metric
    DROP COLUMN forecast_cost_error_percent,
    DROP COLUMN forecast_turnaround_error_percent;
DROP INDEX batch_assets.batch_model_submitted_at_idx;
ALTER TABLE batch_assets.batch
    DROP COLUMN forecast_p90_seconds,
    DROP COLUMN forecast_p50_seconds;
