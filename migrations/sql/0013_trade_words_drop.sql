-- As on the way up: `batch` is written anew, which may take its time.
SET LOCAL statement_timeout = 0;
ALTER TABLE batch_assets.run_metric
    DROP COLUMN settled_batches,
    DROP COLUMN live_cost_eur,
    DROP COLUMN live_requests,
    DROP COLUMN resting_models;
ALTER TABLE batch_assets.run_metric RENAME COLUMN models_in_cooldown TO resting_models;
ALTER TABLE batch_assets.run_metric RENAME COLUMN synchronous_requests TO live_requests;
ALTER TABLE batch_assets.run_metric RENAME COLUMN synchronous_cost_eur TO live_cost_eur;
ALTER TABLE batch_assets.run_metric RENAME COLUMN finalized_batches TO settled_batches;

ALTER TABLE batch_assets.schedule_cooldown
    RENAME CONSTRAINT schedule_cooldown_only_row_check TO scheduler_pause_only_row_check;
ALTER TABLE batch_assets.schedule_cooldown
    RENAME CONSTRAINT schedule_cooldown_pkey TO scheduler_pause_pkey;
ALTER TABLE batch_assets.schedule_cooldown RENAME TO scheduler_pause;
ALTER TABLE batch_assets.account_cooldown RENAME COLUMN cooldowns TO rests;
ALTER TABLE batch_assets.account_cooldown
    RENAME CONSTRAINT account_cooldown_only_row_check TO account_pause_only_row_check;
ALTER TABLE batch_assets.account_cooldown
    RENAME CONSTRAINT account_cooldown_pkey TO account_pause_pkey;
ALTER TABLE batch_assets.account_cooldown RENAME TO account_pause;
ALTER TABLE batch_assets.model_cooldown RENAME COLUMN cooldowns TO rests;
ALTER TABLE batch_assets.model_cooldown RENAME CONSTRAINT model_cooldown_pkey TO model_pause_pkey;
ALTER TABLE batch_assets.model_cooldown RENAME TO model_pause;

ALTER TABLE batch_assets.livedash_act RENAME COLUMN is_duplicate TO is_double;

ALTER TABLE batch_assets.synchronous_request
    RENAME CONSTRAINT synchronous_request_pkey TO live_request_pkey;
ALTER TABLE batch_assets.synchronous_request RENAME TO live_request;

ALTER INDEX batch_assets.bisection_request_bisection_group_idx RENAME TO suspect_lot_idx;
ALTER TABLE batch_assets.bisection_request RENAME COLUMN refused_at TO suspected_at;
ALTER TABLE batch_assets.bisection_request RENAME COLUMN bisection_group TO lot;
ALTER TABLE batch_assets.bisection_request RENAME CONSTRAINT bisection_request_pkey TO suspect_pkey;
ALTER TABLE batch_assets.bisection_request RENAME TO suspect;

ALTER INDEX batch_assets.abandoned_batch_poll_at_idx RENAME TO abandoned_batch_look_at_idx;
ALTER TABLE batch_assets.abandoned_batch RENAME COLUMN poll_at TO look_at;
ALTER TABLE batch_assets.abandoned_batch RENAME COLUMN polls TO looks;

ALTER TABLE batch_assets.result_staging RENAME COLUMN synchronous_cost_eur TO live_cost_eur;
ALTER TABLE batch_assets.attempt RENAME COLUMN requeued TO forgiven;
ALTER TABLE batch_assets.attempt RENAME COLUMN synchronous_cost_eur TO live_cost_eur;

DROP INDEX batch_assets.batch_leftover_idx;
ALTER TABLE batch_assets.batch
    DROP CONSTRAINT batch_state_check,
    DROP CONSTRAINT batch_submitted_check,
    DROP CONSTRAINT batch_ended_check,
    DROP CONSTRAINT batch_finalized_check,
    DROP CONSTRAINT batch_kind_check;
ALTER INDEX batch_assets.batch_root_batch_id_idx RENAME TO batch_suspect_of_idx;
ALTER INDEX batch_assets.batch_finalized_at_idx RENAME TO batch_settled_at_idx;
ALTER TABLE batch_assets.batch RENAME COLUMN poll_at TO look_at;
ALTER TABLE batch_assets.batch RENAME COLUMN polls TO looks;
ALTER TABLE batch_assets.batch RENAME COLUMN bisection_group TO lot;
ALTER TABLE batch_assets.batch RENAME COLUMN root_batch_id TO suspect_of;
ALTER TABLE batch_assets.batch RENAME COLUMN finalized_at TO settled_at;
ALTER TABLE batch_assets.batch RENAME COLUMN synchronous_cost_eur TO live_cost_eur;
ALTER TABLE batch_assets.batch
    ALTER COLUMN state TYPE text USING CASE state WHEN 'finalized' THEN 'settled' ELSE state END,
    ALTER COLUMN server_status TYPE text USING CASE kind
        WHEN 'synchronous' THEN 'live' ELSE server_status
    END,
    ALTER COLUMN kind TYPE text USING CASE kind WHEN 'synchronous' THEN 'live' ELSE kind END,
    ADD CONSTRAINT batch_state_check CHECK (
        state IN ('claimed', 'uploaded', 'submitted', 'ended', 'settled', 'released')
    ),
    ADD CONSTRAINT batch_submitted_check CHECK (
        state NOT IN ('submitted', 'ended', 'settled')
        OR (
            openai_batch_id IS NOT NULL AND submitted_at IS NOT NULL
            AND server_status IS NOT NULL AND server_status_since IS NOT NULL
        )
    ),
    ADD CONSTRAINT batch_ended_check CHECK ((ended_at IS NOT NULL) = (state IN ('ended', 'settled'))),
    ADD CONSTRAINT batch_settled_check CHECK ((settled_at IS NOT NULL) = (state = 'settled')),
    ADD CONSTRAINT batch_kind_check CHECK (kind IN ('batch', 'live'));
CREATE INDEX batch_leftover_idx ON batch_assets.batch (claimed_at, id)
    WHERE state IN ('settled', 'released') AND installation_id IS NOT NULL
        AND input_file_id IS NOT NULL AND files_deleted_at IS NULL;
ANALYZE batch_assets.batch (state, kind, server_status);
