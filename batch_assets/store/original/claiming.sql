-- name: lock_claims
-- Caps and allowances are sums over other rows: without this two claims could both fit under them.
SELECT
    -- here: claim_lock

-- name: forget_packed
DELETE FROM batch_assets.intake AS i
WHERE i.request_id = ANY(:request_ids)

-- name: insert_livedash_batch
-- Both ids are NOT NULL in LiveDash: the placeholders can never be an id of the server's.
INSERT INTO public."AIBatchRequest"
    (id, "companyId", "openaiBatchId", "inputFileId", status, "createdAt")
VALUES
    (:batch_id, :company_id, 'unsent:' || :batch_id, 'unsent:' || :batch_id, 'PENDING',
    CURRENT_TIMESTAMP)

-- name: past_batches
SELECT t.model, t.requests, t.age_seconds, t.seconds, t.has_ended
FROM (
    -- here: past_batches
) AS t

-- name: insert_batch
INSERT INTO batch_assets.batch
    (id, installation_id, company_id, model, state, run_id, lease_owner, lease_expires_at, fence,
    requests, estimated_tokens, estimated_cost_eur, root_batch_id, bisection_group, account,
    account_name, price, forecast_p50_seconds, forecast_p90_seconds)
VALUES
    (:batch_id, :installation_id, :company_id, :model, 'claimed', :run_id, :owner,
    clock_timestamp() + make_interval(secs => :lease_seconds), 1,
    :requests, :tokens, :cost_eur, :root_batch_id, :group, :account,
    :account_name, CAST(:price AS jsonb), :p50_seconds, :p90_seconds)

-- name: recount
-- Some of its rows could not be moved: they are not in it.
UPDATE batch_assets.batch AS b SET requests = :requests WHERE b.id = :batch_id

-- name: withdraw
-- None of its rows could be moved: it was never meant.
WITH ours AS (
    DELETE FROM batch_assets.batch AS b WHERE b.id = :batch_id
)
DELETE FROM public."AIBatchRequest" AS l WHERE l.id = :batch_id

-- name: claim_row
-- LiveDash may have reset a row that we had given up or put off: it is in one bucket only.
WITH moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'BATCHING_IN_PROGRESS',
        "batchId" = :batch_id,
        success = false,
        "completedAt" = NULL
    WHERE r.id = :request_id
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId"
-- here: in_no_other_bucket
), staged AS (
    -- here: stage_in_progress
)
INSERT INTO batch_assets.attempt
    (batch_id, request_id, company_id, position, text_bytes, estimated_cost_eur)
SELECT :batch_id, moved.id, :company_id, :position, :text_bytes, :estimated_cost_eur
FROM moved

-- name: reject_row
WITH moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PROCESSING_FAILED',
        success = false,
        "errorMessage" = :reason,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt")
    WHERE r.id = :request_id
        AND r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId"
), forgotten AS (
    DELETE FROM batch_assets.intake AS i USING moved WHERE i.request_id = moved.id
), not_put_off AS (
    DELETE FROM batch_assets.retry AS f USING moved WHERE f.request_id = moved.id
)
INSERT INTO batch_assets.dead_letter
    (request_id, company_id, attempts, failure_kind, code, reason)
SELECT moved.id, :company_id, 0, 'permanent', :code, :reason
FROM moved
ON CONFLICT (request_id) DO UPDATE
SET batch_id = excluded.batch_id,
    attempts = excluded.attempts,
    failure_kind = excluded.failure_kind,
    code = excluded.code,
    reason = excluded.reason,
    dead_at = excluded.dead_at
