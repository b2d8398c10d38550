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
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true)
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
JOIN batch_assets.batch AS b ON b.id = g.id AND b.fence = g.fence
WHERE b.state = 'ended'
ORDER BY b.id
FOR UPDATE OF b

-- name: tried
-- What an operator has begun anew since counts for nothing.
SELECT
    a.request_id,
    count(*) FILTER (WHERE a.counted) AS attempts,
    count(*) FILTER (WHERE NOT a.counted) AS uncounted,
    coalesce(
        extract(epoch FROM CURRENT_TIMESTAMP - min(a.ended_at) FILTER (WHERE NOT a.counted)), 0
    )::float8 AS waited_seconds
FROM unnest((SELECT CAST(:request_ids AS text[]))) AS g (request_id)
JOIN batch_assets.attempt AS a ON a.request_id = g.request_id
WHERE a.outcome = 'failed' AND NOT a.requeued
GROUP BY a.request_id

-- name: stage_rows
COPY batch_assets.result_staging (
    batch_id, request_id, outcome, counted, failure_kind, code, reason, attempts, delay_seconds,
    openai_request_id, service_tier, system_fingerprint, prompt_tokens, completion_tokens,
    total_tokens, cached_tokens, audio_tokens_prompt, reasoning_tokens, audio_tokens_completion,
    accepted_prediction_tokens, rejected_prediction_tokens, prompt_token_cost,
    completion_token_cost, cost_eur, synchronous_cost_eur, line, language, sentiment, category, escalated,
    forwarded_hr, summary, questions, cost_usd, processing_type
) FROM STDIN

-- part: is_in_batch_of_closed
-- Also a row that LiveDash has put back among those that wait: as long as our attempt is open, nobody
-- else has sent it. And an answer, which was paid for, to one that it has put into a batch of its own.
AND CASE
    WHEN CAST(r."processingStatus" AS text) = 'PENDING_BATCHING' THEN r."batchId" IS NULL
    WHEN CAST(r."processingStatus" AS text) <> 'BATCHING_IN_PROGRESS' THEN false
    WHEN r."batchId" IS NOT DISTINCT FROM closed.batch_id THEN true
    WHEN closed.outcome <> 'completed' OR coalesce(r."batchId", '') = '' THEN false
    ELSE coalesce(
        (
            SELECT b.installation_id IS NULL
            FROM batch_assets.batch AS b
            WHERE b.id = r."batchId"
        ),
        true
    )
END

-- part: is_in_batch_of_unanswered
AND CASE CAST(r."processingStatus" AS text)
    WHEN 'BATCHING_IN_PROGRESS' THEN r."batchId" IS NOT DISTINCT FROM unanswered.batch_id
    WHEN 'PENDING_BATCHING' THEN r."batchId" IS NULL
    ELSE false
END

-- part: learnt_of_closed
-- What answers have used whose requests were estimated when they were claimed; costs only where both are
-- known.
SELECT
    closed.batch_id,
    closed.processing_type,
    count(*) AS answers,
    sum(CAST(closed.text_bytes AS float8)) AS text_bytes,
    sum(CAST(closed.text_bytes AS float8) * closed.text_bytes) AS text_bytes_squared,
    sum(CAST(closed.text_bytes AS float8) * closed.prompt_tokens) AS text_bytes_by_prompt_tokens,
    sum(closed.prompt_tokens) AS prompt_tokens,
    sum(coalesce(closed.cached_tokens, 0)) AS cached_tokens,
    sum(closed.completion_tokens) AS completion_tokens,
    sum(CAST(closed.completion_tokens AS float8) * closed.completion_tokens)
        AS completion_tokens_squared,
    coalesce(sum(closed.estimated_cost_eur) FILTER (WHERE closed.cost_usd IS NOT NULL), 0)
        AS estimated_eur,
    coalesce(
        sum(closed.cost_eur)
            FILTER (WHERE closed.estimated_cost_eur IS NOT NULL AND closed.cost_usd IS NOT NULL),
        0
    ) AS billed_eur
FROM closed
WHERE closed.processing_type IS NOT NULL
    AND closed.text_bytes IS NOT NULL
    AND closed.prompt_tokens > 0
GROUP BY closed.batch_id, closed.processing_type

-- name: write_rows
-- The attempts are closed first: they are what says that this batch was paid for a row, once, and
-- what they give back decides what moves. Rows of one set are distinct, and all that is visible of
-- the staging tables is this transaction's own. A row that is tried again stays in progress, in no
-- batch, so that none of LiveDash's timers buys it. All sessions are locked here and in the order of
-- their ids: two writers that have some in common and took their locks in different orders would
-- lock each other out. What is said of them is for a statement of its own, which sees all rows of a
-- session as they are then. What comes back are the rows to which not everything happened, and those
-- that others follow, and what estimates learn of each batch: few. LiveDash's report adds up what its rows say: so each row's tokens and cost
-- are the sums over its attempts, as far as the numbers that stand there can be such, and its rates
-- those of the last answer.
WITH taken AS (
    DELETE FROM batch_assets.result_staging AS s
    RETURNING
        s.batch_id, s.request_id, s.outcome, s.counted, s.failure_kind, s.code, s.reason,
        s.attempts, s.delay_seconds, s.openai_request_id, s.service_tier, s.system_fingerprint,
        s.prompt_tokens, s.completion_tokens, s.total_tokens, s.cached_tokens,
        s.audio_tokens_prompt, s.reasoning_tokens, s.audio_tokens_completion,
        s.accepted_prediction_tokens, s.rejected_prediction_tokens, s.prompt_token_cost,
        s.completion_token_cost, s.cost_eur, s.synchronous_cost_eur, s.line, s.language, s.sentiment,
        s.category, s.escalated, s.forwarded_hr, s.summary, s.questions, s.cost_usd,
        s.processing_type
), closed AS (
    UPDATE batch_assets.attempt AS a
    SET outcome = g.outcome,
        counted = g.counted,
        failure_kind = g.failure_kind,
        code = g.code,
        reason = g.reason,
        cost_eur = g.cost_eur,
        synchronous_cost_eur = g.synchronous_cost_eur,
        cost_usd = g.cost_usd,
        prompt_tokens = g.prompt_tokens,
        completion_tokens = g.completion_tokens,
        cached_tokens = g.cached_tokens,
        reasoning_tokens = g.reasoning_tokens,
        service_tier = g.service_tier,
        ended_at = CURRENT_TIMESTAMP
    FROM taken AS g
    WHERE a.batch_id = g.batch_id
        AND a.request_id = g.request_id
        AND coalesce(a.outcome, '') = ''
    RETURNING
        a.batch_id, a.request_id, a.company_id, a.outcome, a.failure_kind, a.code, a.reason,
        a.cost_eur, a.cost_usd, a.text_bytes, a.estimated_cost_eur, g.processing_type,
        g.attempts, g.delay_seconds,
        g.openai_request_id, g.service_tier, g.system_fingerprint,
        g.prompt_tokens, g.completion_tokens, g.total_tokens, g.cached_tokens,
        g.audio_tokens_prompt, g.reasoning_tokens, g.audio_tokens_completion,
        g.accepted_prediction_tokens, g.rejected_prediction_tokens,
        g.prompt_token_cost, g.completion_token_cost, g.line, g.language, g.sentiment,
        g.category, g.escalated, g.forwarded_hr, g.summary, g.questions
), answered AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = CASE
            WHEN closed.outcome = 'completed'
            THEN CAST('PROCESSING_COMPLETE' AS public."AIRequestStatus")
            WHEN closed.delay_seconds IS NULL THEN 'PROCESSING_FAILED'
            ELSE 'BATCHING_IN_PROGRESS'
        END,
        "batchId" = CASE WHEN closed.delay_seconds IS NULL THEN closed.batch_id END,
        success = closed.outcome = 'completed',
        "errorMessage" = closed.reason,
        "completedAt" = CASE
            WHEN closed.delay_seconds IS NULL THEN greatest(CURRENT_TIMESTAMP, r."requestedAt")
        END,
        "openaiRequestId" = closed.openai_request_id,
        "serviceTier" = closed.service_tier,
        "systemFingerprint" = closed.system_fingerprint,
        "promptTokens" = least(
            greatest(r."promptTokens", 0) + CAST(coalesce(closed.prompt_tokens, 0) AS bigint),
            2147483647
        ),
        "completionTokens" = least(
            greatest(r."completionTokens", 0) + CAST(coalesce(closed.completion_tokens, 0) AS bigint),
            2147483647
        ),
        "totalTokens" = least(
            greatest(r."totalTokens", 0) + CAST(coalesce(closed.total_tokens, 0) AS bigint),
            2147483647
        ),
        "cachedTokens" = CASE
            WHEN closed.cached_tokens IS NULL THEN r."cachedTokens"
            ELSE least(
                greatest(r."cachedTokens", 0) + CAST(closed.cached_tokens AS bigint), 2147483647
            )
        END,
        "audioTokensPrompt" = CASE
            WHEN closed.audio_tokens_prompt IS NULL THEN r."audioTokensPrompt"
            ELSE least(
                greatest(r."audioTokensPrompt", 0)
                + CAST(closed.audio_tokens_prompt AS bigint),
                2147483647
            )
        END,
        "reasoningTokens" = CASE
            WHEN closed.reasoning_tokens IS NULL THEN r."reasoningTokens"
            ELSE least(
                greatest(r."reasoningTokens", 0)
                + CAST(closed.reasoning_tokens AS bigint),
                2147483647
            )
        END,
        "audioTokensCompletion" = CASE
            WHEN closed.audio_tokens_completion IS NULL THEN r."audioTokensCompletion"
            ELSE least(
                greatest(r."audioTokensCompletion", 0)
                + CAST(closed.audio_tokens_completion AS bigint),
                2147483647
            )
        END,
        "acceptedPredictionTokens" = CASE
            WHEN closed.accepted_prediction_tokens IS NULL THEN r."acceptedPredictionTokens"
            ELSE least(
                greatest(r."acceptedPredictionTokens", 0)
                + CAST(closed.accepted_prediction_tokens AS bigint),
                2147483647
            )
        END,
        "rejectedPredictionTokens" = CASE
            WHEN closed.rejected_prediction_tokens IS NULL THEN r."rejectedPredictionTokens"
            ELSE least(
                greatest(r."rejectedPredictionTokens", 0)
                + CAST(closed.rejected_prediction_tokens AS bigint),
                2147483647
            )
        END,
        "promptTokenCost" = coalesce(closed.prompt_token_cost, r."promptTokenCost"),
        "completionTokenCost" = coalesce(closed.completion_token_cost, r."completionTokenCost"),
        "totalCostEur" = CASE
            WHEN r."totalCostEur" BETWEEN 0 AND 1e9 THEN r."totalCostEur" ELSE 0
        END + closed.cost_eur
    FROM closed
    WHERE closed.outcome <> 'unanswered'
        AND r.id = closed.request_id
        -- here: is_in_batch_of_closed
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
        -- here: is_in_batch_of_closed
    RETURNING
        r.id, r."sessionId", r.model, r."requestedAt", closed.batch_id, closed.company_id,
        closed.line
), waiting AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT returned.id, returned.company_id, returned.model, returned."requestedAt"
    FROM returned
    -- here: or_entered_anew
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
), unmoved AS MATERIALIZED (
    SELECT closed.batch_id, closed.request_id, closed.outcome FROM closed
    EXCEPT
    (
        SELECT answered.batch_id, answered.id, answered.outcome FROM answered
        UNION ALL
        SELECT returned.batch_id, returned.id, 'unanswered' FROM returned
    )
), discarded AS MATERIALIZED (
    -- Somebody else has ended these, and the stages of their sessions are still ours to say.
    SELECT r.id, r."sessionId", unmoved.batch_id
    FROM unmoved
    JOIN public."AIProcessingRequest" AS r ON r.id = unmoved.request_id
    WHERE unmoved.outcome <> 'unanswered'
), said AS (
    SELECT
        answered."sessionId" AS session_id, answered.line, answered.outcome, answered.language,
        answered.sentiment, answered.category, answered.escalated, answered.forwarded_hr,
        answered.summary, answered.questions
    FROM answered
    UNION ALL
    SELECT
        returned."sessionId", returned.line, 'unanswered', NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM returned
    UNION ALL
    SELECT
        discarded."sessionId", 0, 'discarded', NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM discarded
), locked AS (
    SELECT
        s.id, said.line, said.outcome, said.language, said.sentiment, said.category,
        said.escalated, said.forwarded_hr, said.summary, said.questions
    FROM said
    JOIN public."Session" AS s ON s.id = said.session_id
    ORDER BY s.id
    FOR NO KEY UPDATE OF s
), told AS (
    INSERT INTO batch_assets.session_staging
        (session_id, line, is_answered, language, sentiment, category, escalated, forwarded_hr,
        summary, questions)
    SELECT
        locked.id, locked.line, locked.outcome = 'completed', locked.language, locked.sentiment,
        locked.category, locked.escalated, locked.forwarded_hr, locked.summary, locked.questions
    FROM locked
)
(
    SELECT
        'unclosed' AS step, taken.batch_id, taken.request_id, CAST(NULL AS text) AS learnt
    FROM taken
    EXCEPT
    SELECT 'unclosed', closed.batch_id, closed.request_id, NULL FROM closed
)
UNION ALL
SELECT 'unmoved', unmoved.batch_id, unmoved.request_id, NULL FROM unmoved
UNION ALL
SELECT 'learnt', learnt.batch_id, NULL, CAST(to_json(learnt) AS text)
FROM (
    -- here: learnt_of_closed
) AS learnt
UNION ALL
SELECT 'followed', led.batch_id, led.id, NULL
FROM (
    SELECT answered.batch_id, answered.id FROM answered
    UNION ALL
    SELECT discarded.batch_id, discarded.id FROM discarded
) AS led
WHERE coalesce(
    (SELECT true FROM batch_assets.follower AS f WHERE f.leader_id = led.id LIMIT 1), false
)

-- name: write_sessions
-- A session becomes what its answers, in the order of their lines, say last; its stage what all of its
-- requests say together.
WITH taken AS (
    DELETE FROM batch_assets.session_staging AS s
    RETURNING
        s.session_id, s.line, s.is_answered, s.language, s.sentiment, s.category, s.escalated,
        s.forwarded_hr, s.summary, s.questions
), found AS MATERIALIZED (
    SELECT
        taken.session_id AS id,
        bool_or(taken.is_answered) AS is_answered,
        (array_agg(taken.language ORDER BY taken.line DESC)
            FILTER (WHERE taken.language IS NOT NULL))[1] AS language,
        (array_agg(taken.sentiment ORDER BY taken.line DESC)
            FILTER (WHERE taken.sentiment IS NOT NULL))[1] AS sentiment,
        (array_agg(taken.category ORDER BY taken.line DESC)
            FILTER (WHERE taken.category IS NOT NULL))[1] AS category,
        (array_agg(taken.escalated ORDER BY taken.line DESC)
            FILTER (WHERE taken.escalated IS NOT NULL))[1] AS escalated,
        (array_agg(taken.forwarded_hr ORDER BY taken.line DESC)
            FILTER (WHERE taken.forwarded_hr IS NOT NULL))[1] AS forwarded_hr,
        (array_agg(taken.summary ORDER BY taken.line DESC)
            FILTER (WHERE taken.summary IS NOT NULL))[1] AS summary,
        (array_agg(cardinality(taken.questions) ORDER BY taken.line DESC)
            FILTER (WHERE taken.questions IS NOT NULL))[1] AS questions
    FROM taken
    GROUP BY taken.session_id
), asked AS MATERIALIZED (
    SELECT DISTINCT ON (taken.session_id)
        taken.session_id AS id,
        taken.questions AS texts,
        cardinality(taken.questions) AS questions
    FROM taken
    WHERE taken.questions IS NOT NULL
    ORDER BY taken.session_id, taken.line DESC
), given AS MATERIALIZED (
    SELECT
        found.id,
        nullif(
            jsonb_strip_nulls(jsonb_build_object(
                'language', found.language,
                'sentiment', found.sentiment,
                'category', found.category,
                'questionsCount', found.questions
            )),
            '{}'
        ) AS metadata
    FROM found
-- here: judged
, analysed AS (
    UPDATE public."Session" AS s
    SET language = coalesce(g.language, s.language),
        sentiment = coalesce(CAST(g.sentiment AS public."SentimentCategory"), s.sentiment),
        category = coalesce(CAST(g.category AS public."SessionCategory"), s.category),
        escalated = coalesce(g.escalated, s.escalated),
        "forwardedHr" = coalesce(g.forwarded_hr, s."forwardedHr"),
        summary = coalesce(g.summary, s.summary),
        "messagesSent" = g.messages_sent,
        "endTime" = greatest(coalesce(g.last_at, s."endTime"), s."startTime"),
        "updatedAt" = CURRENT_TIMESTAMP
    FROM (
        SELECT
            s.id, s.language, s.sentiment, s.category, s.escalated, s.forwarded_hr, s.summary,
            n.messages_sent, n.last_at
        FROM found AS s
        -- here: measured
        WHERE s.is_answered
    ) AS g
    WHERE s.id = g.id
), extracted AS (
    -- here: extracted
), kept AS (
    INSERT INTO batch_assets.question_staging (session_id, questions)
    SELECT asked.id, asked.texts
    FROM asked
)
-- here: staged

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
WITH given AS MATERIALIZED (
    SELECT g.*
    FROM json_to_recordset(CAST(:batches AS json)) AS g (
        batch_id text, completed bigint, failed bigint, returned bigint, discarded bigint,
        refused bigint, prompt_tokens bigint, cached_tokens bigint, completion_tokens bigint,
        reasoning_tokens bigint, cost_eur float8, cost_usd float8, synchronous_cost_eur float8,
        saved_eur float8, unusable_eur float8, discarded_eur float8, unpriced bigint, price text,
        usd_to_eur float8
    )
), added AS (
    UPDATE batch_assets.batch AS b
    SET completed = b.completed + g.completed,
        failed = b.failed + g.failed,
        returned = b.returned + g.returned,
        discarded = b.discarded + g.discarded,
        refused = b.refused + g.refused,
        prompt_tokens = b.prompt_tokens + g.prompt_tokens,
        completion_tokens = b.completion_tokens + g.completion_tokens,
        cost_eur = b.cost_eur + g.cost_eur,
        -- Of a batch that was read in part before USD were kept, they stay unknown.
        cost_usd = CASE
            WHEN b.cost_usd IS NOT NULL OR b.cost_eur = 0 THEN coalesce(b.cost_usd, 0) + g.cost_usd
        END,
        synchronous_cost_eur = b.synchronous_cost_eur + g.synchronous_cost_eur,
        unpriced = b.unpriced + g.unpriced,
        price = coalesce(b.price, CAST(g.price AS jsonb)),
        usd_to_eur = g.usd_to_eur
    FROM given AS g
    WHERE b.id = g.batch_id
    RETURNING b.id, coalesce(nullif(b.read_run_id, ''), b.run_id) AS run_id
), learnt AS (
    -- here: learn
)
INSERT INTO batch_assets.run_reading AS r
    (batch_id, run_id, usable_answers, unpriced_answers, prompt_tokens, cached_tokens,
    completion_tokens, reasoning_tokens, cost_usd, cost_eur, synchronous_cost_eur, saved_eur,
    unusable_eur, discarded_eur)
SELECT
    a.id, a.run_id, g.completed, g.unpriced, g.prompt_tokens, g.cached_tokens,
    g.completion_tokens, g.reasoning_tokens, g.cost_usd, g.cost_eur, g.synchronous_cost_eur,
    g.saved_eur, g.unusable_eur, g.discarded_eur
FROM added AS a
JOIN given AS g ON g.batch_id = a.id
-- here: added_by_run

-- name: finalize
-- The leases are checked and the rows locked first: whoever took a batch over has raised its fence.
-- What is left of a batch without an outcome waits again; it is open as before, and so the stages of
-- its sessions stay in progress. Bisection are cleared that the server took, or that have found their
-- end: what was refused and waits stays in its group. Only now LiveDash sees how the batch has ended. The
-- server's clock may be ahead of the database's: no batch is read before it has ended.
WITH held AS MATERIALIZED (
    SELECT
        b.id, b.root_batch_id, b.server_status, b.kind,
        b.kind = 'synchronous' OR coalesce(b.output_file_id, b.error_file_id) IS NOT NULL AS was_read
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
    ) AS g (id, fence)
    JOIN batch_assets.batch AS b ON b.id = g.id AND b.fence = g.fence
    WHERE b.state = 'ended'
    ORDER BY b.id
    FOR UPDATE OF b
), cleared AS (
    DELETE FROM batch_assets.bisection_request AS q
    USING held, batch_assets.attempt AS a
    WHERE held.root_batch_id IS NOT NULL
        AND a.batch_id = held.id
        AND q.request_id = a.request_id
        AND (
            held.server_status <> 'failed'
            OR (a.outcome IS NOT NULL AND a.failure_kind IS DISTINCT FROM 'server')
        )
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
        -- here: is_in_batch_of_unanswered
    RETURNING
        r.id, r."sessionId", r.model, r."requestedAt", unanswered.batch_id, unanswered.company_id
), staged AS (
    -- here: stage_in_progress
), noticed AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT moved.id, moved.company_id, moved.model, moved."requestedAt"
    FROM moved
    -- here: or_entered_anew
), counted AS MATERIALIZED (
    SELECT held.id, count(moved.id) AS returned
    FROM held
    LEFT JOIN moved ON moved.batch_id = held.id
    GROUP BY held.id
), finalized AS (
    UPDATE batch_assets.batch AS b
    SET state = 'finalized',
        finalized_at = clock_timestamp(),
        returned = b.returned + counted.returned,
        -- here: unattributed
        lease_owner = NULL,
        lease_expires_at = NULL
    FROM counted
    WHERE b.id = counted.id
), told AS (
    UPDATE public."AIBatchRequest" AS l
    SET status = CASE
            WHEN held.was_read THEN CAST('PROCESSED' AS public."AIBatchRequestStatus")
            WHEN held.server_status IN ('cancelled', 'lost', 'abandoned') THEN 'CANCELLED'
            ELSE 'FAILED'
        END,
        "completedAt" = CASE
            WHEN held.kind = 'synchronous' THEN greatest(CURRENT_TIMESTAMP, l."createdAt")
            ELSE l."completedAt"
        END,
        "processedAt" = CASE
            WHEN held.was_read THEN greatest(CURRENT_TIMESTAMP, l."createdAt", l."completedAt")
        END
    FROM held
    WHERE l.id = held.id
        AND CAST(l.status AS text) NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')
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
-- A row that LiveDash moved meanwhile is no longer ours to retry: only its entry goes. One that it has
-- put back among those that wait is left to the look at what LiveDash did. The moment is that of the
-- statement, since the index cannot be asked for one that goes on changing.
WITH due AS (
    SELECT f.request_id
    FROM batch_assets.retry AS f
    WHERE f.retry_at <= statement_timestamp()
        -- here: not_put_back
        AND NOT (
            -- here: is_left_to_flex
        )
    ORDER BY f.retry_at, f.request_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM batch_assets.retry AS f
    USING due
    WHERE f.request_id = due.request_id
    RETURNING f.request_id
), moved AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'PENDING_BATCHING', "completedAt" = NULL
    -- An array, since a join may read the keys from the first one on.
    WHERE r.id = ANY (ARRAY (SELECT t.request_id FROM taken AS t))
        AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
        AND coalesce(r."batchId", '') = ''
    RETURNING r.id, r."sessionId", r.model, r."requestedAt"
), staged AS (
    -- here: stage_in_progress
), waiting AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT
        moved.id,
        (SELECT s."companyId" FROM public."Session" AS s WHERE s.id = moved."sessionId"),
        moved.model,
        moved."requestedAt"
    FROM moved
    -- here: or_entered_anew
)
SELECT
    (SELECT count(*) FROM moved) AS requeued,
    (
        SELECT coalesce(json_agg(DISTINCT r."sessionId"), '[]')
        FROM public."AIProcessingRequest" AS r
        WHERE r.id = ANY (ARRAY (
            SELECT taken.request_id FROM taken EXCEPT SELECT moved.id FROM moved
        ))
    ) AS overtaken_sessions
