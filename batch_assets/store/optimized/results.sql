-- However large a set is, its rows are found by their keys, one by one. The planner must not do
-- better than that: the rows of a batch change together, so that what it believes of states and
-- batches is always late, and "nothing is in progress" makes it read a set once for each row.
-- Hence arrays come as sub-selects, whose length it does not see; the states of rows are compared
-- in a form that has no index and no statistics (a cast, IS NOT DISTINCT FROM, coalesce); and no two
-- steps of a statement are joined with each other.

-- name: rows_of
-- A request that was deleted with its session has no type any more, but was a row of the batch.
-- Answered by numbers: whoever asks has the ids already, and types are few.
SELECT r."processingType" AS processing_type, array_agg(g.number) AS numbers
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:request_ids AS text[]))
) WITH ORDINALITY AS g (batch_id, request_id, number)
JOIN batch_assets.attempt AS a ON a.batch_id = g.batch_id AND a.request_id = g.request_id
LEFT JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
GROUP BY r."processingType"

-- name: hold
-- In the order of their ids: two writers that have batches in common never wait for each other. For
-- the statements that follow in this transaction the planner is bound to look rows up by their keys:
-- it sees how large a set is, and would rather read all attempts there ever were.
SELECT
    b.id,
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('enable_seqscan', 'off', true)
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
JOIN batch_assets.batch AS b ON b.id = g.id AND b.fence = g.fence
WHERE b.state = 'ended'
ORDER BY b.id
FOR UPDATE OF b

-- name: counted_attempts
SELECT a.request_id, count(*) AS attempts
FROM unnest((SELECT CAST(:request_ids AS text[]))) AS g (request_id)
JOIN batch_assets.attempt AS a ON a.request_id = g.request_id
WHERE a.counted AND a.outcome = 'failed'
GROUP BY a.request_id

-- name: stage_rows
COPY batch_assets.result_staging (
    batch_id, request_id, outcome, counted, failure_kind, code, reason, attempts, delay_seconds,
    openai_request_id, service_tier, system_fingerprint, prompt_tokens, completion_tokens,
    total_tokens, cached_tokens, audio_tokens_prompt, reasoning_tokens, audio_tokens_completion,
    accepted_prediction_tokens, rejected_prediction_tokens, prompt_token_cost,
    completion_token_cost, cost_eur, live_cost_eur, line, language, sentiment, category, escalated,
    forwarded_hr, summary, questions
) FROM STDIN

-- name: write_rows
-- The attempts are closed first: they are what says that this batch was paid for a row, once, and
-- what they give back decides what moves. Rows of one set are distinct, and all that is visible of
-- the staging tables is this transaction's own. A session then becomes what its requests, in the
-- order of their lines, say last. All sessions are locked first and in the order of their ids: two
-- writers that have some in common and took their locks in different orders would lock each other
-- out. What comes back are the rows to which not everything happened, which are few.
WITH taken AS (
    DELETE FROM batch_assets.result_staging AS s
    RETURNING
        s.batch_id, s.request_id, s.outcome, s.counted, s.failure_kind, s.code, s.reason,
        s.attempts, s.delay_seconds, s.openai_request_id, s.service_tier, s.system_fingerprint,
        s.prompt_tokens, s.completion_tokens, s.total_tokens, s.cached_tokens,
        s.audio_tokens_prompt, s.reasoning_tokens, s.audio_tokens_completion,
        s.accepted_prediction_tokens, s.rejected_prediction_tokens, s.prompt_token_cost,
        s.completion_token_cost, s.cost_eur, s.live_cost_eur, s.line, s.language, s.sentiment,
        s.category, s.escalated, s.forwarded_hr, s.summary, s.questions
), closed AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = g.outcome,
        counted = g.counted,
        failure_kind = g.failure_kind,
        code = g.code,
        reason = g.reason,
        cost_eur = g.cost_eur,
        live_cost_eur = g.live_cost_eur,
        ended_at = CURRENT_TIMESTAMP
    FROM taken AS g
    WHERE a.batch_id = g.batch_id
        AND a.request_id = g.request_id
        AND coalesce(a.outcome, '') = ''
    RETURNING
        a.batch_id, a.request_id, a.company_id, a.outcome, a.failure_kind, a.code, a.reason,
        a.cost_eur, g.attempts, g.delay_seconds,
        g.openai_request_id, g.service_tier, g.system_fingerprint,
        g.prompt_tokens, g.completion_tokens, g.total_tokens, g.cached_tokens,
        g.audio_tokens_prompt, g.reasoning_tokens, g.audio_tokens_completion,
        g.accepted_prediction_tokens, g.rejected_prediction_tokens,
        g.prompt_token_cost, g.completion_token_cost, g.line, g.language, g.sentiment,
        g.category, g.escalated, g.forwarded_hr, g.summary, g.questions
), answered AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = CASE closed.outcome
            WHEN 'completed' THEN CAST('PROCESSING_COMPLETE' AS public."AIRequestStatus")
            ELSE 'PROCESSING_FAILED'
        END,
        success = closed.outcome = 'completed',
        "errorMessage" = closed.reason,
        "completedAt" = greatest(CURRENT_TIMESTAMP, r."requestedAt"),
        "openaiRequestId" = closed.openai_request_id,
        "serviceTier" = closed.service_tier,
        "systemFingerprint" = closed.system_fingerprint,
        "promptTokens" = closed.prompt_tokens,
        "completionTokens" = closed.completion_tokens,
        "totalTokens" = closed.total_tokens,
        "cachedTokens" = closed.cached_tokens,
        "audioTokensPrompt" = closed.audio_tokens_prompt,
        "reasoningTokens" = closed.reasoning_tokens,
        "audioTokensCompletion" = closed.audio_tokens_completion,
        "acceptedPredictionTokens" = closed.accepted_prediction_tokens,
        "rejectedPredictionTokens" = closed.rejected_prediction_tokens,
        "promptTokenCost" = closed.prompt_token_cost,
        "completionTokenCost" = closed.completion_token_cost,
        "totalCostEur" = closed.cost_eur
    FROM closed
    WHERE closed.outcome <> 'unanswered'
        AND r.id = closed.request_id
        AND r."batchId" IS NOT DISTINCT FROM closed.batch_id
        AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
    RETURNING
        r.id, r."sessionId", closed.batch_id, closed.company_id, closed.outcome, closed.attempts,
        closed.failure_kind, closed.code, closed.reason, closed.delay_seconds, closed.line,
        closed.language, closed.sentiment, closed.category, closed.escalated, closed.forwarded_hr,
        closed.summary, closed.questions
), returned AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL
    FROM closed
    WHERE closed.outcome = 'unanswered'
        AND r.id = closed.request_id
        AND r."batchId" IS NOT DISTINCT FROM closed.batch_id
        AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
    RETURNING
        r.id, r."sessionId", r.model, r."requestedAt", closed.batch_id, closed.company_id,
        closed.line
), waiting AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT returned.id, returned.company_id, returned.model, returned."requestedAt"
    FROM returned
    ON CONFLICT (request_id) DO UPDATE
    SET company_id = excluded.company_id,
        model = excluded.model,
        requested_at = excluded.requested_at
), later AS (
    INSERT INTO batch_assets.retry
        (request_id, company_id, attempts, failure_kind, code, reason, retry_at)
    SELECT
        answered.id, answered.company_id, answered.attempts, answered.failure_kind, answered.code,
        answered.reason, CURRENT_TIMESTAMP + make_interval(secs => answered.delay_seconds)
    FROM answered
    WHERE answered.outcome = 'failed' AND answered.delay_seconds IS NOT NULL
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
        answered.id, answered.company_id, answered.batch_id, answered.attempts,
        answered.failure_kind, answered.code, answered.reason
    FROM answered
    WHERE answered.outcome = 'failed' AND answered.delay_seconds IS NULL
    ON CONFLICT (request_id) DO UPDATE
    SET batch_id = excluded.batch_id,
        attempts = excluded.attempts,
        failure_kind = excluded.failure_kind,
        code = excluded.code,
        reason = excluded.reason,
        dead_at = excluded.dead_at
), said AS (
    SELECT
        answered."sessionId" AS session_id, answered.line, answered.outcome, answered.reason,
        answered.attempts, answered.language, answered.sentiment, answered.category,
        answered.escalated, answered.forwarded_hr, answered.summary
    FROM answered
    UNION ALL
    SELECT
        returned."sessionId", returned.line, 'unanswered', NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL
    FROM returned
), given AS MATERIALIZED (
    SELECT
        said.session_id,
        CAST('AI_ANALYSIS' AS public."ProcessingStage") AS stage,
        bool_or(said.outcome = 'completed') AS analysed,
        (array_agg(said.language ORDER BY said.line DESC)
            FILTER (WHERE said.language IS NOT NULL))[1] AS language,
        (array_agg(said.sentiment ORDER BY said.line DESC)
            FILTER (WHERE said.sentiment IS NOT NULL))[1] AS sentiment,
        (array_agg(said.category ORDER BY said.line DESC)
            FILTER (WHERE said.category IS NOT NULL))[1] AS category,
        (array_agg(said.escalated ORDER BY said.line DESC)
            FILTER (WHERE said.escalated IS NOT NULL))[1] AS escalated,
        (array_agg(said.forwarded_hr ORDER BY said.line DESC)
            FILTER (WHERE said.forwarded_hr IS NOT NULL))[1] AS forwarded_hr,
        (array_agg(said.summary ORDER BY said.line DESC)
            FILTER (WHERE said.summary IS NOT NULL))[1] AS summary,
        CAST(
            CASE (array_agg(said.outcome ORDER BY said.line DESC)
                FILTER (WHERE said.outcome <> 'unanswered'))[1]
                WHEN 'completed' THEN 'COMPLETED'
                WHEN 'failed' THEN 'FAILED'
            END AS public."ProcessingStatus"
        ) AS status,
        (array_agg(said.reason ORDER BY said.line DESC)
            FILTER (WHERE said.outcome <> 'unanswered'))[1] AS error,
        (array_agg(said.attempts ORDER BY said.line DESC)
            FILTER (WHERE said.outcome = 'failed'))[1] AS attempts,
        max(said.line) FILTER (WHERE said.outcome = 'failed')
            > min(said.line) FILTER (WHERE said.outcome = 'completed') AS failed_later,
        (array_agg(said.outcome ORDER BY said.line))[1] = 'unanswered' AS began_waiting
    FROM said
    GROUP BY said.session_id
), locked AS (
    SELECT
        s.id, given.analysed, given.language, given.sentiment, given.category, given.escalated,
        given.forwarded_hr, given.summary
    FROM given
    JOIN public."Session" AS s ON s.id = given.session_id
    ORDER BY s.id
    FOR NO KEY UPDATE OF s
), analysed AS (
    UPDATE public."Session" AS s
    SET language = coalesce(locked.language, s.language),
        sentiment = coalesce(
            CAST(locked.sentiment AS public."SentimentCategory"), s.sentiment
        ),
        category = coalesce(CAST(locked.category AS public."SessionCategory"), s.category),
        escalated = coalesce(locked.escalated, s.escalated),
        "forwardedHr" = coalesce(locked.forwarded_hr, s."forwardedHr"),
        summary = coalesce(locked.summary, s.summary),
        "updatedAt" = CURRENT_TIMESTAMP
    FROM locked
    WHERE s.id = locked.id AND locked.analysed
), told AS (
    UPDATE public."SessionProcessingStatus" AS p
    SET status = coalesce(given.status, 'PENDING'),
        "startedAt" = CASE
            WHEN given.began_waiting AND p.status = 'IN_PROGRESS' THEN NULL
            ELSE p."startedAt"
        END,
        "completedAt" = CASE
            WHEN given.status IS NULL THEN p."completedAt"
            ELSE CURRENT_TIMESTAMP
        END,
        "errorMessage" = CASE
            WHEN given.status IS NULL THEN p."errorMessage"
            ELSE given.error
        END,
        "retryCount" = coalesce(given.attempts, p."retryCount")
    FROM given
    WHERE p."sessionId" = given.session_id
        AND p.stage = given.stage
        AND (given.status IS NOT NULL OR p.status = 'IN_PROGRESS')
    RETURNING p."sessionId"
), begun AS (
    INSERT INTO public."SessionProcessingStatus" AS p
        (id, "sessionId", stage, status, "startedAt", "completedAt", "errorMessage", "retryCount")
    SELECT
        gen_random_uuid()::text, given.session_id, given.stage, given.status, CURRENT_TIMESTAMP,
        CURRENT_TIMESTAMP, given.error,
        CASE WHEN given.failed_later THEN given.attempts ELSE 0 END
    FROM given
    WHERE given.analysed AND given.session_id NOT IN (SELECT told."sessionId" FROM told)
    ORDER BY given.session_id
    ON CONFLICT ("sessionId", stage) DO UPDATE
    SET status = excluded.status,
        "completedAt" = excluded."completedAt",
        "errorMessage" = excluded."errorMessage"
), asked AS (
    INSERT INTO batch_assets.question_staging (session_id, questions)
    SELECT DISTINCT ON (answered."sessionId") answered."sessionId", answered.questions
    FROM answered
    WHERE answered.questions IS NOT NULL
    ORDER BY answered."sessionId", answered.line DESC
)
(
    SELECT 'unclosed' AS step, taken.batch_id, taken.request_id FROM taken
    EXCEPT
    SELECT 'unclosed', closed.batch_id, closed.request_id FROM closed
)
UNION ALL
(
    SELECT 'unmoved', closed.batch_id, closed.request_id FROM closed
    EXCEPT
    (
        SELECT 'unmoved', answered.batch_id, answered.id FROM answered
        UNION ALL
        SELECT 'unmoved', returned.batch_id, returned.id FROM returned
    )
)

-- name: discard_rows
-- These left the batch while it ran: what they cost is kept, their answers are not.
UPDATE batch_assets.attempt AS a
SET outcome = 'discarded'
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:request_ids AS text[]))
) AS g (batch_id, request_id)
WHERE a.batch_id = g.batch_id
    AND a.request_id = g.request_id
    AND a.outcome IN ('completed', 'failed')

-- name: add_to_batches
UPDATE batch_assets.batch AS b
SET completed = b.completed + g.completed,
    failed = b.failed + g.failed,
    returned = b.returned + g.returned,
    discarded = b.discarded + g.discarded,
    refused = b.refused + g.refused,
    prompt_tokens = b.prompt_tokens + g.prompt_tokens,
    completion_tokens = b.completion_tokens + g.completion_tokens,
    cost_eur = b.cost_eur + g.cost_eur,
    live_cost_eur = b.live_cost_eur + g.live_cost_eur
FROM json_to_recordset(CAST(:batches AS json)) AS g (
    batch_id text, completed bigint, failed bigint, returned bigint, discarded bigint,
    refused bigint, prompt_tokens bigint, completion_tokens bigint, cost_eur float8,
    live_cost_eur float8
)
WHERE b.id = g.batch_id

-- name: settle
-- The leases are checked and the rows locked first: whoever took a batch over has raised its fence.
-- What is left of a batch without an outcome waits again, and so do its sessions.
-- Suspects are cleared that the server took, or that have found their end: what was refused and waits
-- stays suspect. Only a live batch is pending in LiveDash until then.
WITH held AS MATERIALIZED (
    SELECT b.id, b.suspect_of, b.server_status
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
    ) AS g (id, fence)
    JOIN batch_assets.batch AS b ON b.id = g.id AND b.fence = g.fence
    WHERE b.state = 'ended'
    ORDER BY b.id
    FOR UPDATE OF b
), cleared AS (
    DELETE FROM batch_assets.suspect AS q
    USING held, batch_assets.attempt AS a
    WHERE held.suspect_of IS NOT NULL
        AND a.batch_id = held.id
        AND q.request_id = a.request_id
        AND (held.server_status <> 'failed' OR a.outcome IS NOT NULL)
), unanswered AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = 'unanswered', ended_at = CURRENT_TIMESTAMP
    FROM held
    WHERE a.batch_id = held.id AND coalesce(a.outcome, '') = ''
    RETURNING a.batch_id, a.request_id, a.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL
    FROM unanswered
    WHERE r.id = unanswered.request_id
        AND r."batchId" IS NOT DISTINCT FROM unanswered.batch_id
        AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
    RETURNING
        r.id, r."sessionId", r.model, r."requestedAt", unanswered.batch_id, unanswered.company_id
), waiting AS (
    UPDATE public."SessionProcessingStatus" AS p
    SET status = 'PENDING', "startedAt" = NULL
    FROM moved
    WHERE p."sessionId" = moved."sessionId"
        AND CAST(p.stage AS text) = 'AI_ANALYSIS'
        AND CAST(p.status AS text) = 'IN_PROGRESS'
), noticed AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
    FROM moved
    ON CONFLICT (request_id) DO UPDATE
    SET company_id = excluded.company_id,
        model = excluded.model,
        requested_at = excluded.requested_at
), counted AS MATERIALIZED (
    SELECT held.id, count(moved.id) AS returned
    FROM held
    LEFT JOIN moved ON moved.batch_id = held.id
    GROUP BY held.id
), settled AS (
    UPDATE batch_assets.batch AS b
    SET state = 'settled',
        settled_at = clock_timestamp(),
        returned = b.returned + counted.returned,
        lease_owner = NULL,
        lease_expires_at = NULL
    FROM counted
    WHERE b.id = counted.id
), told AS (
    UPDATE public."AIBatchRequest" AS l
    SET status = 'PROCESSED',
        "completedAt" = coalesce(l."completedAt", CURRENT_TIMESTAMP),
        "processedAt" = CURRENT_TIMESTAMP
    FROM held
    WHERE l.id = held.id AND CAST(l.status AS text) IN ('COMPLETED', 'PENDING')
)
SELECT counted.id, counted.returned FROM counted

-- name: replace_questions
-- After the sessions are locked, and not in the same statement, which would not see what a writer
-- that it waited for has linked. The texts go sorted, as do their locks, since sessions share them;
-- in the order that the original sorts them in, too.
WITH unasked AS (
    DELETE FROM public."SessionQuestion" AS q
    USING batch_assets.question_staging AS g
    WHERE q."sessionId" = g.session_id
)
INSERT INTO public."Question" (id, content)
SELECT gen_random_uuid()::text, q.content
FROM (
    SELECT DISTINCT u.content
    FROM batch_assets.question_staging AS g
    CROSS JOIN LATERAL unnest(g.questions) AS u (content)
) AS q
ORDER BY q.content COLLATE "C"
ON CONFLICT (content) DO NOTHING

-- name: link_questions
WITH taken AS (
    DELETE FROM batch_assets.question_staging AS g
    RETURNING g.session_id, g.questions
)
INSERT INTO public."SessionQuestion" (id, "sessionId", "questionId", "order")
SELECT gen_random_uuid()::text, taken.session_id, k.id, u.position - 1
FROM taken
CROSS JOIN LATERAL unnest(taken.questions) WITH ORDINALITY AS u (content, position)
JOIN public."Question" AS k ON k.content = u.content

-- name: deleted
UPDATE batch_assets.batch AS b
SET files_deleted_at = clock_timestamp()
WHERE b.id = ANY(CAST(:batch_ids AS text[])) AND b.files_deleted_at IS NULL

-- name: requeue_due
-- A row that LiveDash moved meanwhile is no longer ours to retry: only its entry goes. The moment
-- is that of the statement, since the index cannot be asked for one that goes on changing.
WITH due AS (
    SELECT f.request_id
    FROM batch_assets.retry AS f
    WHERE f.retry_at <= statement_timestamp()
    ORDER BY f.retry_at, f.request_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM batch_assets.retry AS f
    USING due
    WHERE f.request_id = due.request_id
    RETURNING f.request_id, f.company_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "batchId" = NULL, "completedAt" = NULL
    -- An array, since a join may read the keys from the first one on.
    WHERE r.id = ANY (ARRAY (SELECT t.request_id FROM taken AS t))
        AND CAST(r."processingStatus" AS text) = 'PROCESSING_FAILED'
    RETURNING r.id, r.model, r."requestedAt"
)
INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
SELECT moved.id, taken.company_id, moved.model, moved."requestedAt"
FROM moved
JOIN taken ON taken.request_id = moved.id
ON CONFLICT (request_id) DO UPDATE
SET company_id = excluded.company_id, model = excluded.model, requested_at = excluded.requested_at
