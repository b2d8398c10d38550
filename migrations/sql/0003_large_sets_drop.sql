-- Only what 0003 made. The intake keeps its requests; the measured history goes.
DROP TABLE batch_assets.operation_choice;
DROP TABLE batch_assets.operation_run;
DROP TABLE batch_assets.result_staging;
DROP TABLE batch_assets.intake_progress;
DROP INDEX batch_assets.intake_company_id_model_requested_at_idx;
ALTER TABLE batch_assets.intake DROP COLUMN model;
CREATE INDEX intake_company_id_requested_at_idx
    ON batch_assets.intake (company_id, requested_at, request_id);
