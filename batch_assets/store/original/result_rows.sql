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

-- part: billed
cost_eur = CAST(:cost_eur AS float8),
cost_usd = CAST(:cost_usd AS float8),
synchronous_cost_eur = :synchronous_cost_eur,
prompt_tokens = CAST(:prompt_tokens AS integer),
completion_tokens = CAST(:completion_tokens AS integer),
cached_tokens = CAST(:cached_tokens AS integer),
reasoning_tokens = CAST(:reasoning_tokens AS integer),
service_tier = CAST(:service_tier AS text),

-- part: paid_in_all
-- LiveDash's report adds up what its rows say: so each row's tokens and cost are the sums over its
-- attempts, as far as the numbers that stand there can be such, and its rates those of the last answer.
"openaiRequestId" = :shown_openai_request_id,
"serviceTier" = :shown_service_tier,
"systemFingerprint" = :shown_system_fingerprint,
"promptTokens" = least(
    greatest(r."promptTokens", 0) + coalesce(CAST(:shown_prompt_tokens AS bigint), 0),
    2147483647
),
"completionTokens" = least(
    greatest(r."completionTokens", 0) + coalesce(CAST(:shown_completion_tokens AS bigint), 0),
    2147483647
),
"totalTokens" = least(
    greatest(r."totalTokens", 0) + coalesce(CAST(:shown_total_tokens AS bigint), 0),
    2147483647
),
"cachedTokens" = CASE
    WHEN CAST(:shown_cached_tokens AS bigint) IS NULL THEN r."cachedTokens"
    ELSE least(
        greatest(r."cachedTokens", 0) + CAST(:shown_cached_tokens AS bigint), 2147483647
    )
END,
"audioTokensPrompt" = CASE
    WHEN CAST(:shown_audio_tokens_prompt AS bigint) IS NULL THEN r."audioTokensPrompt"
    ELSE least(
        greatest(r."audioTokensPrompt", 0) + CAST(:shown_audio_tokens_prompt AS bigint), 2147483647
    )
END,
"reasoningTokens" = CASE
    WHEN CAST(:shown_reasoning_tokens AS bigint) IS NULL THEN r."reasoningTokens"
    ELSE least(
        greatest(r."reasoningTokens", 0) + CAST(:shown_reasoning_tokens AS bigint), 2147483647
    )
END,
"audioTokensCompletion" = CASE
    WHEN CAST(:shown_audio_tokens_completion AS bigint) IS NULL THEN r."audioTokensCompletion"
    ELSE least(
        greatest(r."audioTokensCompletion", 0)
        + CAST(:shown_audio_tokens_completion AS bigint),
        2147483647
    )
END,
"acceptedPredictionTokens" = CASE
    WHEN CAST(:shown_accepted_prediction_tokens AS bigint) IS NULL THEN r."acceptedPredictionTokens"
    ELSE least(
        greatest(r."acceptedPredictionTokens", 0)
        + CAST(:shown_accepted_prediction_tokens AS bigint),
        2147483647
    )
END,
"rejectedPredictionTokens" = CASE
    WHEN CAST(:shown_rejected_prediction_tokens AS bigint) IS NULL THEN r."rejectedPredictionTokens"
    ELSE least(
        greatest(r."rejectedPredictionTokens", 0)
        + CAST(:shown_rejected_prediction_tokens AS bigint),
        2147483647
    )
END,
"promptTokenCost" = coalesce(CAST(:shown_prompt_token_cost AS float8), r."promptTokenCost"),
"completionTokenCost" = coalesce(CAST(:shown_completion_token_cost AS float8), r."completionTokenCost"),
"totalCostEur" = CASE
    WHEN r."totalCostEur" BETWEEN 0 AND 1e9 THEN r."totalCostEur" ELSE 0
END + CAST(:shown_cost_eur AS float8)

-- name: complete_row
-- The attempt is closed first: it is what says that this batch was paid for this row, once.
WITH ended AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = 'completed',
        counted = true,
        -- here: billed
        ended_at = CURRENT_TIMESTAMP
    WHERE a.batch_id = :batch_id AND a.request_id = :request_id AND a.outcome IS NULL
    RETURNING a.request_id, a.text_bytes, a.estimated_cost_eur
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PROCESSING_COMPLETE',
        "batchId" = CAST(:batch_id AS text),
        success = true,
        "errorMessage" = NULL,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt"),
        -- here: paid_in_all
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
    (SELECT max(moved."sessionId") FROM moved) AS session_id,
    (SELECT max(ended.text_bytes) FROM ended) AS text_bytes,
    (SELECT max(ended.estimated_cost_eur) FROM ended) AS estimated_cost_eur

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
    count(*) FILTER (WHERE NOT a.counted) AS uncounted,
    coalesce(
        extract(epoch FROM CURRENT_TIMESTAMP - min(a.ended_at) FILTER (WHERE NOT a.counted)), 0
    )::float8 AS waited_seconds
FROM batch_assets.attempt AS a
WHERE a.request_id = :request_id AND a.outcome = 'failed' AND NOT a.requeued

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
        -- here: billed
        ended_at = CURRENT_TIMESTAMP
    WHERE a.batch_id = :batch_id AND a.request_id = :request_id AND a.outcome IS NULL
    RETURNING a.request_id, a.company_id, a.text_bytes, a.estimated_cost_eur
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
        -- here: paid_in_all
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
    (SELECT max(moved."sessionId") FROM moved) AS session_id,
    (SELECT max(ended.text_bytes) FROM ended) AS text_bytes,
    (SELECT max(ended.estimated_cost_eur) FROM ended) AS estimated_cost_eur

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
WITH added AS (
    UPDATE batch_assets.batch AS b
    SET completed = b.completed + :completed,
        failed = b.failed + :failed,
        returned = b.returned + :returned,
        discarded = b.discarded + :discarded,
        refused = b.refused + :refused,
        prompt_tokens = b.prompt_tokens + :prompt_tokens,
        completion_tokens = b.completion_tokens + :completion_tokens,
        cost_eur = b.cost_eur + :cost_eur,
        -- Of a batch that was read in part before USD were kept, they stay unknown.
        cost_usd = CASE
            WHEN b.cost_usd IS NOT NULL OR b.cost_eur = 0
            THEN coalesce(b.cost_usd, 0) + CAST(:cost_usd AS float8)
        END,
        synchronous_cost_eur = b.synchronous_cost_eur + :synchronous_cost_eur,
        unpriced = b.unpriced + :unpriced,
        price = coalesce(b.price, CAST(:price AS jsonb)),
        usd_to_eur = :usd_to_eur
    WHERE b.id = :batch_id
    RETURNING b.id, coalesce(nullif(b.read_run_id, ''), b.run_id) AS run_id
), learnt AS (
    -- here: learn
)
INSERT INTO batch_assets.run_reading AS r
    (batch_id, run_id, usable_answers, unpriced_answers, prompt_tokens, cached_tokens,
    completion_tokens, reasoning_tokens, cost_usd, cost_eur, synchronous_cost_eur, saved_eur,
    unusable_eur, discarded_eur)
SELECT
    a.id, a.run_id, :completed, :unpriced, :prompt_tokens, :cached_tokens,
    :completion_tokens, :reasoning_tokens, CAST(:cost_usd AS float8), :cost_eur,
    :synchronous_cost_eur, :saved_eur, :unusable_eur, :discarded_eur
FROM added AS a
-- here: added_by_run
