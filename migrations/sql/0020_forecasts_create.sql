-- When a batch was to be done, as it was claimed: in seconds from its submission, half of such batches and
-- nine of ten. NULL where too few had ended for that to be known.
ALTER TABLE batch_assets.batch
    ADD COLUMN forecast_p50_seconds double precision,
    ADD COLUMN forecast_p90_seconds double precision;
CREATE INDEX batch_model_submitted_at_idx ON batch_assets.batch (model, submitted_at)
    WHERE kind = 'batch' AND installation_id IS NOT NULL AND submitted_at IS NOT NULL;
ALTER TABLE batch_assets.run_metric
    ADD COLUMN forecast_turnaround_error_percent double precision,
    ADD COLUMN forecast_cost_error_percent double precision;
