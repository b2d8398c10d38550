ALTER TABLE batch_assets.installation
    DROP COLUMN upload_bytes_until,
    DROP COLUMN upload_bytes;

ALTER TABLE batch_assets.run_metric DROP COLUMN wasted_abandoned_eur;
DROP TABLE batch_assets.abandoned_batch;

-- Before, there was one word for what an operator had given up.
UPDATE batch_assets.batch AS b
SET server_status = 'lost'
WHERE b.server_status = 'abandoned';

ALTER TABLE batch_assets.run_metric
    DROP COLUMN unknown_batches,
    DROP COLUMN incomplete_batches,
    DROP COLUMN server_failures,
    DROP COLUMN unproved_submissions;
ALTER TABLE batch_assets.installation DROP COLUMN alone_since;
DROP TABLE batch_assets.unknown_batch;
DROP TABLE batch_assets.search;
ALTER TABLE batch_assets.batch
    DROP COLUMN sought_at,
    DROP COLUMN account;
DROP TABLE batch_assets.account_pause;
ALTER TABLE batch_assets.model_pause DROP COLUMN rests;
ALTER TABLE batch_assets.attempt DROP COLUMN forgiven;
ALTER TABLE batch_assets.suspect ADD COLUMN found_in text;
UPDATE batch_assets.suspect SET found_in = root_batch_id;
ALTER TABLE batch_assets.suspect ALTER COLUMN found_in SET NOT NULL;
ALTER TABLE batch_assets.batch DROP COLUMN retrieved_at;
ALTER TABLE batch_assets.run_metric DROP COLUMN unpriced_answers;
ALTER TABLE batch_assets.batch
    DROP COLUMN unpriced,
    DROP COLUMN file_pending_since;
ALTER TABLE batch_assets.batch
    DROP COLUMN was_split,
    DROP COLUMN lot,
    DROP COLUMN error_bytes,
    DROP COLUMN output_bytes,
    DROP COLUMN look_at,
    DROP COLUMN looks,
    DROP COLUMN incomplete_since;
