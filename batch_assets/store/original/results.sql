-- name: take_ended
UPDATE batch_assets.batch AS b
SET lease_owner = :owner,
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds),
    fence = b.fence + 1,
    read_run_id = :run_id
FROM (
    SELECT e.id
    FROM batch_assets.batch AS e
    WHERE e.state = 'ended'
        AND (e.lease_expires_at IS NULL OR e.lease_expires_at < clock_timestamp())
        AND (e.look_at IS NULL OR e.look_at <= clock_timestamp())
    ORDER BY e.claimed_at, e.id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
) AS free
WHERE b.id = free.id
RETURNING
    b.id, b.fence, b.kind, b.installation_id, b.company_id, b.model, b.openai_batch_id,
    b.server_status,
    b.server_errors, b.server_error_lines, b.server_answered,
    b.input_file_id, b.output_file_id, b.error_file_id, b.requests, b.run_id,
    (SELECT c.name FROM public."Company" AS c WHERE c.id = b.company_id) AS company,
    extract(epoch FROM clock_timestamp() - b.ended_at)::float8 AS ended_seconds,
    b.completed + b.failed + b.discarded AS answered, b.completed,
    b.returned,
    b.looks,
    extract(epoch FROM clock_timestamp() - b.incomplete_since)::float8 AS incomplete_seconds,
    b.output_bytes, b.error_bytes

-- name: rows_of
-- A request that was deleted with its session has no type any more, but was a row of the batch.
SELECT a.request_id, r."processingType" AS processing_type
FROM batch_assets.attempt AS a
LEFT JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
WHERE a.batch_id = :batch_id AND a.request_id = ANY(:request_ids)

-- part: is_in_batch_or_in_livedashs
-- An answer was paid for: it is also for a row that LiveDash has put into a batch of its own.
AND (
    (r."batchId" = :batch_id AND r."processingStatus" = 'BATCHING_IN_PROGRESS')
    OR (r."batchId" IS NULL AND r."processingStatus" = 'PENDING_BATCHING')
    OR (
        r."batchId" IS NOT NULL
        AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND NOT EXISTS (
            SELECT
            FROM batch_assets.batch AS b
            WHERE b.id = r."batchId" AND b.installation_id IS NOT NULL
        )
    )
)

-- name: complete_row
-- The attempt is closed first: it is what says that this batch was paid for this row, once.
WITH ended AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = 'completed',
        counted = true,
        cost_eur = CAST(:cost_eur AS float8),
        live_cost_eur = :live_cost_eur,
        ended_at = CURRENT_TIMESTAMP
    WHERE a.batch_id = :batch_id AND a.request_id = :request_id AND a.outcome IS NULL
    RETURNING a.request_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PROCESSING_COMPLETE',
        "batchId" = CAST(:batch_id AS text),
        success = true,
        "errorMessage" = NULL,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt"),
        "openaiRequestId" = :openai_request_id,
        "serviceTier" = :service_tier,
        "systemFingerprint" = :system_fingerprint,
        "promptTokens" = :prompt_tokens,
        "completionTokens" = :completion_tokens,
        "totalTokens" = :total_tokens,
        "cachedTokens" = :cached_tokens,
        "audioTokensPrompt" = :audio_tokens_prompt,
        "reasoningTokens" = :reasoning_tokens,
        "audioTokensCompletion" = :audio_tokens_completion,
        "acceptedPredictionTokens" = :accepted_prediction_tokens,
        "rejectedPredictionTokens" = :rejected_prediction_tokens,
        "promptTokenCost" = :prompt_token_cost,
        "completionTokenCost" = :completion_token_cost,
        "totalCostEur" = CAST(:cost_eur AS float8)
    FROM ended
    WHERE r.id = ended.request_id
        -- here: is_in_batch_or_in_livedashs
    RETURNING r.id, r."sessionId"
), analysed AS (
    UPDATE public."Session" AS s
    SET language = coalesce(:language, s.language),
        sentiment = coalesce(
            CAST(:sentiment AS public."SentimentCategory"), s.sentiment
        ),
        category = coalesce(CAST(:category AS public."SessionCategory"), s.category),
        escalated = coalesce(:escalated, s.escalated),
        "forwardedHr" = coalesce(:forwarded_hr, s."forwardedHr"),
        summary = coalesce(:summary, s.summary),
        "messagesSent" = CASE WHEN :is_measured THEN g.messages_sent ELSE s."messagesSent" END,
        "endTime" = CASE
            WHEN :is_measured THEN greatest(coalesce(g.last_at, s."endTime"), s."startTime")
            ELSE s."endTime"
        END,
        "updatedAt" = CURRENT_TIMESTAMP
    FROM (
        SELECT s.id, n.messages_sent, n.last_at
        FROM moved
        JOIN public."Session" AS s ON s.id = moved."sessionId"
        -- here: measured
    ) AS g
    WHERE s.id = g.id
), described AS (
    -- The status is set when all rows of the set have moved.
    INSERT INTO public."SessionProcessingStatus" AS p
        (id, "sessionId", stage, status, "startedAt", metadata)
    SELECT
        gen_random_uuid()::text, moved."sessionId", 'AI_ANALYSIS', 'IN_PROGRESS',
        CURRENT_TIMESTAMP, CAST(:metadata AS jsonb)
    FROM moved
    WHERE CAST(:metadata AS jsonb) IS NOT NULL
    ON CONFLICT ("sessionId", stage) DO UPDATE
    SET metadata = CASE
            WHEN jsonb_typeof(p.metadata) = 'object' THEN p.metadata || excluded.metadata
            ELSE excluded.metadata
        END
), asked AS (
    SELECT moved."sessionId" AS id, CAST(:question_count AS integer) AS questions
    FROM moved
    WHERE CAST(:question_count AS integer) IS NOT NULL
), extracted AS (
    -- here: extracted
)
SELECT
    (SELECT count(*) FROM ended) AS ended,
    (SELECT max(moved."sessionId") FROM moved) AS session_id

-- name: clear_questions
DELETE FROM public."SessionQuestion" AS q
WHERE q."sessionId" = ANY(:session_ids)

-- name: add_questions
-- In the order in which they come, which is that of the locks.
INSERT INTO public."Question" (id, content)
SELECT gen_random_uuid()::text, q.content
FROM unnest(CAST(:questions AS text[])) WITH ORDINALITY AS q (content, position)
ORDER BY q.position
ON CONFLICT (content) DO NOTHING

-- name: link_questions
INSERT INTO public."SessionQuestion" (id, "sessionId", "questionId", "order")
SELECT gen_random_uuid()::text, q.session_id, k.id, q.position
FROM unnest(
    CAST(:session_ids AS text[]), CAST(:questions AS text[]), CAST(:positions AS integer[])
) AS q (session_id, content, position)
JOIN public."Question" AS k ON k.content = q.content

-- name: tried
-- What an operator has begun anew since counts for nothing.
SELECT
    count(*) FILTER (WHERE a.counted) AS attempts,
    count(*) FILTER (WHERE NOT a.counted) AS rests,
    coalesce(
        extract(epoch FROM CURRENT_TIMESTAMP - min(a.ended_at) FILTER (WHERE NOT a.counted)), 0
    )::float8 AS waited_seconds
FROM batch_assets.attempt AS a
WHERE a.request_id = :request_id AND a.outcome = 'failed' AND NOT a.forgiven

-- name: fail_row
-- With a delay it is tried again then, and stays in progress until that, in no batch: so none of
-- LiveDash's timers buys it. Without one it becomes a dead letter. What was paid for an answer that
-- could not be used is kept with the row all the same, unless LiveDash's database refuses that: the
-- attempt has it in any case.
WITH ended AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = 'failed',
        counted = :counted,
        failure_kind = :failure_kind,
        code = :code,
        reason = :reason,
        cost_eur = CAST(:cost_eur AS float8),
        live_cost_eur = :live_cost_eur,
        ended_at = CURRENT_TIMESTAMP
    WHERE a.batch_id = :batch_id AND a.request_id = :request_id AND a.outcome IS NULL
    RETURNING a.request_id, a.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = CASE
            WHEN CAST(:delay_seconds AS float8) IS NULL
            THEN CAST('PROCESSING_FAILED' AS public."AIRequestStatus")
            ELSE 'BATCHING_IN_PROGRESS'
        END,
        "batchId" = CASE
            WHEN CAST(:delay_seconds AS float8) IS NULL THEN CAST(:batch_id AS text)
        END,
        success = false,
        "errorMessage" = :reason,
        "completedAt" = CASE
            WHEN CAST(:delay_seconds AS float8) IS NULL
            THEN greatest(CURRENT_TIMESTAMP, r."requestedAt")
        END,
        "openaiRequestId" = :openai_request_id,
        "serviceTier" = :service_tier,
        "systemFingerprint" = :system_fingerprint,
        "promptTokens" = :prompt_tokens,
        "completionTokens" = :completion_tokens,
        "totalTokens" = :total_tokens,
        "cachedTokens" = :cached_tokens,
        "audioTokensPrompt" = :audio_tokens_prompt,
        "reasoningTokens" = :reasoning_tokens,
        "audioTokensCompletion" = :audio_tokens_completion,
        "acceptedPredictionTokens" = :accepted_prediction_tokens,
        "rejectedPredictionTokens" = :rejected_prediction_tokens,
        "promptTokenCost" = :prompt_token_cost,
        "completionTokenCost" = :completion_token_cost,
        "totalCostEur" = CAST(:shown_cost_eur AS float8)
    FROM ended
    WHERE r.id = ended.request_id
        -- here: is_in_batch
    RETURNING r.id, r."sessionId", ended.company_id
), later AS (
    INSERT INTO batch_assets.retry
        (request_id, company_id, attempts, failure_kind, code, reason, retry_at)
    SELECT
        moved.id, moved.company_id, :attempts, :failure_kind, :code, :reason,
        CURRENT_TIMESTAMP + make_interval(secs => CAST(:delay_seconds AS float8))
    FROM moved
    WHERE CAST(:delay_seconds AS float8) IS NOT NULL
    ON CONFLICT (request_id) DO UPDATE
    SET attempts = excluded.attempts,
        failure_kind = excluded.failure_kind,
        code = excluded.code,
        reason = excluded.reason,
        failed_at = excluded.failed_at,
        retry_at = excluded.retry_at
), dead AS (
    INSERT INTO batch_assets.dead_letter
        (request_id, company_id, batch_id, attempts, failure_kind, code, reason)
    SELECT
        moved.id, moved.company_id, :batch_id, :attempts, :failure_kind, :code, :reason
    FROM moved
    WHERE CAST(:delay_seconds AS float8) IS NULL
    ON CONFLICT (request_id) DO UPDATE
    SET batch_id = excluded.batch_id,
        attempts = excluded.attempts,
        failure_kind = excluded.failure_kind,
        code = excluded.code,
        reason = excluded.reason,
        dead_at = excluded.dead_at
)
SELECT
    (SELECT count(*) FROM ended) AS ended,
    (SELECT max(moved."sessionId") FROM moved) AS session_id

-- name: discard_row
-- The row left the batch while it ran: what it cost is kept, its answer is not. Its session comes back,
-- unless it was deleted.
WITH discarded AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = 'discarded'
    WHERE a.batch_id = :batch_id
        AND a.request_id = :request_id
        AND a.outcome IN ('completed', 'failed')
    RETURNING a.request_id
)
SELECT r."sessionId"
FROM discarded
JOIN public."AIProcessingRequest" AS r ON r.id = discarded.request_id

-- name: add_to_batch
UPDATE batch_assets.batch AS b
SET completed = b.completed + :completed,
    failed = b.failed + :failed,
    returned = b.returned + :returned,
    discarded = b.discarded + :discarded,
    refused = b.refused + :refused,
    prompt_tokens = b.prompt_tokens + :prompt_tokens,
    completion_tokens = b.completion_tokens + :completion_tokens,
    cost_eur = b.cost_eur + :cost_eur,
    live_cost_eur = b.live_cost_eur + :live_cost_eur,
    unpriced = b.unpriced + :unpriced
WHERE b.id = :batch_id

-- name: clear_suspects
-- The server took the lot, or a row of it has found its end: what was refused and waits stays suspect.
DELETE FROM batch_assets.suspect AS q
USING batch_assets.batch AS b, batch_assets.attempt AS a
WHERE b.id = :batch_id
    AND b.suspect_of IS NOT NULL
    AND a.batch_id = b.id
    AND q.request_id = a.request_id
    AND (
        b.server_status <> 'failed'
        OR (a.outcome <> 'unanswered' AND a.failure_kind IS DISTINCT FROM 'server')
    )

-- name: settled
UPDATE batch_assets.batch AS b
SET state = 'settled',
    settled_at = clock_timestamp(),
    returned = b.returned + :returned,
    lease_owner = NULL,
    lease_expires_at = NULL
WHERE b.id = :batch_id

-- name: livedash_settled
-- Every row has left the batch: only now LiveDash sees how it has ended. The server's clock may be
-- ahead of the database's: no batch is read before it has ended.
UPDATE public."AIBatchRequest" AS l
SET status = CASE
        WHEN b.kind = 'live' OR coalesce(b.output_file_id, b.error_file_id) IS NOT NULL
        THEN CAST('PROCESSED' AS public."AIBatchRequestStatus")
        WHEN b.server_status IN ('cancelled', 'lost', 'abandoned') THEN 'CANCELLED'
        ELSE 'FAILED'
    END,
    "completedAt" = CASE
        WHEN b.kind = 'live' THEN greatest(CURRENT_TIMESTAMP, l."createdAt")
        ELSE l."completedAt"
    END,
    "processedAt" = CASE
        WHEN b.kind = 'live' OR coalesce(b.output_file_id, b.error_file_id) IS NOT NULL
        THEN greatest(CURRENT_TIMESTAMP, l."createdAt", l."completedAt")
    END
FROM batch_assets.batch AS b
WHERE l.id = :batch_id AND b.id = l.id AND l.status NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')

-- name: leftovers
-- Only files that we made, or that were made for a batch of ours, are ours to delete. A batch that
-- was given back may have left its input file, if that could not be deleted then. Results that are not
-- all accounted for stay until the server's own date.
SELECT
    b.id AS batch_id,
    b.input_file_id,
    CASE WHEN b.incomplete_since IS NULL THEN b.output_file_id END AS output_file_id,
    CASE WHEN b.incomplete_since IS NULL THEN b.error_file_id END AS error_file_id
FROM batch_assets.batch AS b
JOIN batch_assets.installation AS i ON i.id = b.installation_id
WHERE b.state IN ('settled', 'released')
    AND b.installation_id IS NOT NULL
    AND b.input_file_id IS NOT NULL
    AND b.files_deleted_at IS NULL
    -- here: is_read_by_all
ORDER BY b.claimed_at, b.id
LIMIT :limit

-- name: deleted
UPDATE batch_assets.batch AS b
SET files_deleted_at = clock_timestamp()
WHERE b.id = :batch_id AND b.files_deleted_at IS NULL

-- name: due_retries
SELECT f.request_id
FROM batch_assets.retry AS f
WHERE f.retry_at <= statement_timestamp()
    -- here: not_put_back
ORDER BY f.retry_at, f.request_id
LIMIT :limit

-- name: sessions
SELECT DISTINCT r."sessionId"
FROM public."AIProcessingRequest" AS r
WHERE r.id = ANY(CAST(:request_ids AS text[]))

-- name: requeue_row
-- A row that LiveDash moved meanwhile is no longer ours to retry: only its entry goes. One that it has
-- put back among those that wait is left to the look at what LiveDash did.
WITH due AS (
    DELETE FROM batch_assets.retry AS f
    WHERE f.request_id = :request_id
    RETURNING f.request_id, f.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "completedAt" = NULL
    FROM due
    WHERE r.id = due.request_id
        AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
    RETURNING r.id, r."sessionId", r.model, r."requestedAt", due.company_id
), staged AS (
    -- here: stage_in_progress
)
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
FROM moved
-- here: or_entered_anew
