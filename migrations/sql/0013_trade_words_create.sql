-- Tables, columns and states under the words of docs/glossary.md.
SET LOCAL statement_timeout = 0;

-- `batch` is written anew once, with its indexes: a minute or less for a million batches. An UPDATE would
-- leave it twice as large, and take longer. Only our own runs wait meanwhile, so it may take its time.
-- What begins with `live:` in LiveDash's columns of the server's ids stays: by that a batch is known once
-- our tables are lost.
ALTER TABLE batch_assets.batch RENAME COLUMN live_cost_eur TO synchronous_cost_eur;
ALTER TABLE batch_assets.batch RENAME COLUMN settled_at TO finalized_at;
ALTER TABLE batch_assets.batch RENAME COLUMN suspect_of TO root_batch_id;
ALTER TABLE batch_assets.batch RENAME COLUMN lot TO bisection_group;
ALTER TABLE batch_assets.batch RENAME COLUMN looks TO polls;
ALTER TABLE batch_assets.batch RENAME COLUMN look_at TO poll_at;
ALTER INDEX batch_assets.batch_settled_at_idx RENAME TO batch_finalized_at_idx;
ALTER INDEX batch_assets.batch_suspect_of_idx RENAME TO batch_root_batch_id_idx;
DROP INDEX batch_assets.batch_leftover_idx;
ALTER TABLE batch_assets.batch
    DROP CONSTRAINT batch_state_check,
    DROP CONSTRAINT batch_submitted_check,
    DROP CONSTRAINT batch_ended_check,
    DROP CONSTRAINT batch_settled_check,
    DROP CONSTRAINT batch_kind_check;
ALTER TABLE batch_assets.batch
    ALTER COLUMN state TYPE text USING CASE state WHEN 'settled' THEN 'finalized' ELSE state END,
    ALTER COLUMN server_status TYPE text USING CASE kind
        WHEN 'live' THEN 'synchronous' ELSE server_status
    END,
    ALTER COLUMN kind TYPE text USING CASE kind WHEN 'live' THEN 'synchronous' ELSE kind END,
    ADD CONSTRAINT batch_state_check CHECK (
        state IN ('claimed', 'uploaded', 'submitted', 'ended', 'finalized', 'released')
    ),
    ADD CONSTRAINT batch_submitted_check CHECK (
        state NOT IN ('submitted', 'ended', 'finalized')
        OR (
            openai_batch_id IS NOT NULL AND submitted_at IS NOT NULL
            AND server_status IS NOT NULL AND server_status_since IS NOT NULL
        )
    ),
    ADD CONSTRAINT batch_ended_check CHECK (
        (ended_at IS NOT NULL) = (state IN ('ended', 'finalized'))
    ),
    ADD CONSTRAINT batch_finalized_check CHECK ((finalized_at IS NOT NULL) = (state = 'finalized')),
    ADD CONSTRAINT batch_kind_check CHECK (kind IN ('batch', 'synchronous'));
CREATE INDEX batch_leftover_idx ON batch_assets.batch (claimed_at, id)
    WHERE state IN ('finalized', 'released') AND installation_id IS NOT NULL
        AND input_file_id IS NOT NULL AND files_deleted_at IS NULL;
-- What was known of the columns' values is lost with that, and plans go by it.
ANALYZE batch_assets.batch (state, kind, server_status);

ALTER TABLE batch_assets.attempt RENAME COLUMN live_cost_eur TO synchronous_cost_eur;
ALTER TABLE batch_assets.attempt RENAME COLUMN forgiven TO requeued;
ALTER TABLE batch_assets.result_staging RENAME COLUMN live_cost_eur TO synchronous_cost_eur;

ALTER TABLE batch_assets.abandoned_batch RENAME COLUMN looks TO polls;
ALTER TABLE batch_assets.abandoned_batch RENAME COLUMN look_at TO poll_at;
ALTER INDEX batch_assets.abandoned_batch_look_at_idx RENAME TO abandoned_batch_poll_at_idx;

ALTER TABLE batch_assets.suspect RENAME TO bisection_request;
ALTER TABLE batch_assets.bisection_request RENAME CONSTRAINT suspect_pkey TO bisection_request_pkey;
ALTER TABLE batch_assets.bisection_request RENAME COLUMN lot TO bisection_group;
ALTER TABLE batch_assets.bisection_request RENAME COLUMN suspected_at TO refused_at;
ALTER INDEX batch_assets.suspect_lot_idx RENAME TO bisection_request_bisection_group_idx;

ALTER TABLE batch_assets.live_request RENAME TO synchronous_request;
ALTER TABLE batch_assets.synchronous_request
    RENAME CONSTRAINT live_request_pkey TO synchronous_request_pkey;

ALTER TABLE batch_assets.livedash_act RENAME COLUMN is_double TO is_duplicate;

ALTER TABLE batch_assets.model_pause RENAME TO model_cooldown;
ALTER TABLE batch_assets.model_cooldown RENAME CONSTRAINT model_pause_pkey TO model_cooldown_pkey;
ALTER TABLE batch_assets.model_cooldown RENAME COLUMN rests TO cooldowns;
ALTER TABLE batch_assets.account_pause RENAME TO account_cooldown;
ALTER TABLE batch_assets.account_cooldown
    RENAME CONSTRAINT account_pause_pkey TO account_cooldown_pkey;
ALTER TABLE batch_assets.account_cooldown
    RENAME CONSTRAINT account_pause_only_row_check TO account_cooldown_only_row_check;
ALTER TABLE batch_assets.account_cooldown RENAME COLUMN rests TO cooldowns;
ALTER TABLE batch_assets.scheduler_pause RENAME TO schedule_cooldown;
ALTER TABLE batch_assets.schedule_cooldown
    RENAME CONSTRAINT scheduler_pause_pkey TO schedule_cooldown_pkey;
ALTER TABLE batch_assets.schedule_cooldown
    RENAME CONSTRAINT scheduler_pause_only_row_check TO schedule_cooldown_only_row_check;

ALTER TABLE batch_assets.run_metric RENAME COLUMN settled_batches TO finalized_batches;
ALTER TABLE batch_assets.run_metric RENAME COLUMN live_cost_eur TO synchronous_cost_eur;
ALTER TABLE batch_assets.run_metric RENAME COLUMN live_requests TO synchronous_requests;
ALTER TABLE batch_assets.run_metric RENAME COLUMN resting_models TO models_in_cooldown;
-- Dashboards beside Dagster ask for the former names, too: they stay for one version.
ALTER TABLE batch_assets.run_metric
    ADD COLUMN settled_batches bigint GENERATED ALWAYS AS (finalized_batches) STORED,
    ADD COLUMN live_cost_eur double precision GENERATED ALWAYS AS (synchronous_cost_eur) STORED,
    ADD COLUMN live_requests bigint GENERATED ALWAYS AS (synchronous_requests) STORED,
    ADD COLUMN resting_models bigint GENERATED ALWAYS AS (models_in_cooldown) STORED;
