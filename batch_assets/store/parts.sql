-- What statements of several files have in common.

-- part: claim_lock
-- Held by whoever claims, until its transaction ends; one that begins a drain waits for it, too.
pg_advisory_xact_lock(hashtextextended('batch_assets.claim', 0))

-- part: account_of_company
-- The account by which a company (c) is served: the one that it was given to, or the default.
coalesce(
    (SELECT g.account_name FROM batch_assets.company_account AS g WHERE g.company_id = c.company_id),
    'default'
)

-- part: known_breakers
-- Of one account, as `breakers_in` reads them.
(
    SELECT json_agg(json_build_object(
        'operation', k.operation,
        'state', k.state,
        'failures', k.failures,
        'code', k.code,
        'reason', k.reason,
        'retry_at', k.retry_at,
        'changed_at', k.changed_at,
        'seconds_left',
        coalesce(extract(epoch FROM k.retry_at - clock_timestamp()), 0)::float8
    ))
    FROM batch_assets.breaker AS k
    WHERE k.account_name = :account_name
)

-- part: is_fresh
-- Nobody has answered or tried it but we: an answer or an end that no attempt and no dead letter of
-- ours explains is LiveDash's own, and was paid for. They are looked up only where they matter.
AND (
    NOT (r.success OR r."completedAt" IS NOT NULL)
    OR coalesce(
        (
            SELECT true
            FROM batch_assets.attempt AS t
            WHERE t.request_id = r.id AND t.outcome IN ('completed', 'failed')
            LIMIT 1
        ),
        (SELECT true FROM batch_assets.dead_letter AS t WHERE t.request_id = r.id),
        false
    )
)

-- part: other_is_fresh
-- The same of o.
AND (
    NOT (o.success OR o."completedAt" IS NOT NULL)
    OR coalesce(
        (
            SELECT true
            FROM batch_assets.attempt AS t
            WHERE t.request_id = o.id AND t.outcome IN ('completed', 'failed')
            LIMIT 1
        ),
        (SELECT true FROM batch_assets.dead_letter AS t WHERE t.request_id = o.id),
        false
    )
)

-- part: is_dated
-- When r was asked for is a moment that Python can hold, with a day to spare for any time zone: neither
-- infinite nor outside its years.
r."requestedAt" BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00' AS is_dated,

-- part: is_half_made
-- LiveDash leaves no batch f in such a status; if nothing of it is here, an earlier installation has
-- made it, whose schema was lost.
f.status IN ('PENDING', 'UPLOADING')
AND NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = f.id)

-- part: is_open
-- r is to be bought, is being bought, or is to be tried again.
AND (
    r."processingStatus" = 'BATCHING_IN_PROGRESS'
    OR (
        r."processingStatus" = 'PENDING_BATCHING'
        -- here: is_fresh
    )
)

-- part: is_of_this_hour
-- The account's server was asked for b within the last hour, or will be. No batch is created more than an
-- hour after it was claimed but one that waited for its file. The moment is that of the statement, since
-- the index cannot be asked for one that goes on changing, and would be read as a whole.
b.claimed_at > statement_timestamp() - interval '2 hours'
AND b.account = :account
AND b.kind = 'batch'
AND b.installation_id IS NOT NULL
AND (
    b.state IN ('claimed', 'uploaded')
    OR b.submitted_at > statement_timestamp() - interval '1 hour'
)

-- part: created_this_hour
(
    SELECT count(*)
    FROM batch_assets.batch AS b
    WHERE
        -- here: is_of_this_hour
) AS created,

-- part: learnt_allowances
-- By model, and by '' for batches an hour: what was seen to be taken, how often more was refused, and
-- how many seconds ago.
(
    SELECT coalesce(
        json_object_agg(
            a.model,
            json_build_array(
                a.most, a.refusals, extract(epoch FROM clock_timestamp() - a.refused_at)
            )
        ),
        '{}'
    )
    FROM batch_assets.allowance AS a
    WHERE a.account = :account
)

-- part: allowances
-- here: learnt_allowances
AS allowances

-- part: allowances_in_use
-- What counts against an account's allowances, as `domain/allowances.py` reads it. Batches of the hour by
-- the minute in which they are an hour old; those that are not created yet as if they were just now.
json_build_object(
    'rows',
    -- here: learnt_allowances
    ,
    'created',
    (
        SELECT coalesce(json_agg(json_build_array(h.seconds, h.batches) ORDER BY h.seconds), '[]')
        FROM (
            SELECT
                60 * ceil(
                    extract(
                        epoch FROM coalesce(b.submitted_at, statement_timestamp())
                        + interval '1 hour' - statement_timestamp()
                    ) / 60
                )::integer AS seconds,
                count(*) AS batches
            FROM batch_assets.batch AS b
            WHERE
                -- here: is_of_this_hour
            GROUP BY 1
        ) AS h
    ),
    'enqueued',
    (
        SELECT coalesce(json_object_agg(q.model, json_build_array(q.tokens, q.requests)), '{}')
        FROM (
            SELECT b.model, sum(b.estimated_tokens) AS tokens, sum(b.requests) AS requests
            FROM batch_assets.batch AS b
            WHERE b.state IN ('claimed', 'uploaded', 'submitted')
                AND b.account_name = :account_name
                AND b.model IS NOT NULL
            GROUP BY b.model
        ) AS q
    )
)

-- part: asks_the_same
-- o asks what r asks, and follows no other one itself. It is looked for among those of its session, never
-- among those of its model, which are nearly all that there are.
o."sessionId" = r."sessionId"
AND o.id <> r.id
AND coalesce(o.model, '') = r.model
AND o."processingType" = r."processingType"
AND NOT coalesce((SELECT true FROM batch_assets.follower AS w WHERE w.request_id = o.id), false)

-- part: will_end
-- Somebody will end o, which is in progress: it is to be tried again, or its batch goes on. LiveDash
-- leaves rows in progress in batches that have failed, and nobody ever looks at those again.
AND (
    coalesce((SELECT true FROM batch_assets.retry AS t WHERE t.request_id = o.id), false)
    OR coalesce(
        (
            SELECT true
            FROM batch_assets.attempt AS t
            WHERE t.request_id = o.id AND t.outcome IS NULL
            LIMIT 1
        ),
        false
    )
    OR coalesce(
        (
            SELECT CAST(t.status AS text) NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')
            FROM public."AIBatchRequest" AS t
            WHERE t.id = o."batchId"
        ),
        false
    )
)

-- part: leader_id
-- The open request that asks the same as r, and came before it or is under way: r follows that one.
-- Of several, one that is under way, then the oldest.
(
    SELECT o.id
    FROM public."AIProcessingRequest" AS o
    WHERE
        -- here: asks_the_same
        AND (
            (
                CAST(o."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
                -- here: will_end
            )
            OR (
                CAST(o."processingStatus" AS text) = 'PENDING_BATCHING'
                AND o."batchId" IS NULL
                -- here: other_is_fresh
                AND (o."requestedAt", o.id) < (r."requestedAt", r.id)
            )
        )
    ORDER BY
        CAST(o."processingStatus" AS text) = 'BATCHING_IN_PROGRESS' DESC, o."requestedAt", o.id
    LIMIT 1
) AS leader_id

-- part: made_at
-- When LiveDash made its batch l; if its date cannot be that, it is as old as our knowledge of it.
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN l."createdAt" BETWEEN '0001-01-02 00:00+00' AND clock_timestamp() THEN l."createdAt"
        ELSE clock_timestamp()
    END AS made_at
) AS d

-- part: livedash_lacks
-- Columns that a run needs and LiveDash's tables do not have (any more), by the catalogs alone.
(
    SELECT coalesce(array_agg(n.table_name || '.' || n.column_name ORDER BY n.place), '{}')
    FROM unnest(
        CAST(:needed_tables AS text[]), CAST(:needed_columns AS text[])
    ) WITH ORDINALITY AS n (table_name, column_name, place)
    WHERE NOT EXISTS (
        SELECT
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = to_regclass(format('public.%I', n.table_name))
            AND a.attname = n.column_name
            AND NOT a.attisdropped
    )
) AS livedash_lacks,

-- part: not_put_back
-- LiveDash has not put it back among those that wait: then the next look notices that, and says so.
AND NOT coalesce((
    SELECT CAST(r."processingStatus" AS text) = 'PENDING_BATCHING' AND coalesce(r."batchId", '') = ''
    FROM public."AIProcessingRequest" AS r
    WHERE r.id = f.request_id
), false)

-- part: in_no_other_bucket
-- LiveDash may have reset a row that we had given up or put off: what is moved is in one bucket only.
), forgotten AS (
    DELETE FROM batch_assets.intake AS i USING moved WHERE i.request_id = moved.id
), not_put_off AS (
    DELETE FROM batch_assets.retry AS f USING moved WHERE f.request_id = moved.id
), not_dead AS (
    DELETE FROM batch_assets.dead_letter AS d USING moved WHERE d.request_id = moved.id

-- part: or_entered_anew
-- An entry of the intake that was left over says what is so now.
ON CONFLICT (request_id) DO UPDATE
SET company_id = excluded.company_id, model = excluded.model, requested_at = excluded.requested_at

-- part: stage_in_progress
-- The stage of whose session something is open, whatever it said: LiveDash makes another request
-- for a session whose stage is PENDING. A stage that says so already is not locked.
INSERT INTO public."SessionProcessingStatus" AS p
    (id, "sessionId", stage, status, "startedAt")
SELECT gen_random_uuid()::text, s.id, 'AI_ANALYSIS', 'IN_PROGRESS', CURRENT_TIMESTAMP
FROM (SELECT DISTINCT moved."sessionId" AS id FROM moved) AS s
WHERE coalesce(
    (
        SELECT CAST(o.status AS text) <> 'IN_PROGRESS'
        FROM public."SessionProcessingStatus" AS o
        WHERE o."sessionId" = s.id AND o.stage = 'AI_ANALYSIS'
    ),
    true
)
ORDER BY s.id
ON CONFLICT ("sessionId", stage) DO UPDATE
SET status = excluded.status,
    "startedAt" = excluded."startedAt",
    "completedAt" = NULL,
    "errorMessage" = NULL
WHERE p.status <> 'IN_PROGRESS'

-- part: stage_is_free
-- Nobody holds what has to be locked so that the stage of r's session says that something is under way:
-- the stage, or for one that is made the session. Such a request waits, and no other waits for it: there
-- may be a transaction that somebody has left open. Neither is locked where the stage says so already.
AND CASE (
        SELECT CAST(p.status AS text) = 'IN_PROGRESS'
        FROM public."SessionProcessingStatus" AS p
        WHERE p."sessionId" = r."sessionId" AND p.stage = 'AI_ANALYSIS'
    )
    WHEN true THEN true
    WHEN false THEN coalesce(
        (
            SELECT true
            FROM public."SessionProcessingStatus" AS p
            WHERE p."sessionId" = r."sessionId" AND p.stage = 'AI_ANALYSIS'
            FOR NO KEY UPDATE SKIP LOCKED
        ),
        false
    )
    ELSE coalesce(
        (
            SELECT true
            FROM public."Session" AS p
            WHERE p.id = r."sessionId"
            FOR KEY SHARE SKIP LOCKED
        ),
        false
    )
END

-- part: counted_buckets
-- What waits and was answered or tried by nobody but LiveDash, before us, is nobody's to send. A failed
-- request is a dead letter, or one that failed before or beside us.
count(*) FILTER (
    WHERE r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL AND before.what IS NULL
) AS waiting,
count(*) FILTER (
    WHERE r."processingStatus" = 'PENDING_BATCHING' AND before.what = 'answered'
) AS answered_before,
count(*) FILTER (
    WHERE r."processingStatus" = 'PENDING_BATCHING' AND before.what = 'failed'
) AS failed_before,
count(*) FILTER (
    WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS' AND r."batchId" IS NOT NULL
) AS in_batch,
count(*) FILTER (
    WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
        AND w.request_id IS NOT NULL
) AS follows,
count(*) FILTER (
    WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
        AND f.request_id IS NOT NULL
) AS retry,
count(*) FILTER (WHERE r."processingStatus" = 'PROCESSING_COMPLETE') AS complete,
count(*) FILTER (
    WHERE r."processingStatus" = 'PROCESSING_FAILED' AND d.request_id IS NOT NULL
) AS dead,
count(*) FILTER (
    WHERE r."processingStatus" = 'PROCESSING_FAILED' AND d.request_id IS NULL
) AS failed_elsewhere

-- part: entries_of_requests
LEFT JOIN batch_assets.retry AS f ON f.request_id = r.id
LEFT JOIN batch_assets.dead_letter AS d ON d.request_id = r.id
LEFT JOIN batch_assets.follower AS w ON w.request_id = r.id
LEFT JOIN LATERAL (
    SELECT CASE WHEN r.success THEN 'answered' ELSE 'failed' END AS what
    WHERE r."processingStatus" = 'PENDING_BATCHING'
        AND r."batchId" IS NULL
        AND (r.success OR r."completedAt" IS NOT NULL)
        AND NOT EXISTS (SELECT FROM batch_assets.attempt AS t WHERE t.request_id = r.id)
        AND NOT EXISTS (SELECT FROM batch_assets.dead_letter AS t WHERE t.request_id = r.id)
) AS before ON true

-- part: is_read_by_all
-- What a copy of this database may have been left to read as well stays for an hour: the copy, or the
-- one that this is a copy of, reads it meanwhile. What was claimed since is known here alone.
AND (
    coalesce(i.incarnation_at, k.incarnation_at) IS NULL
    OR b.claimed_at > greatest(i.incarnation_at, k.incarnation_at)
    OR coalesce(b.finalized_at, b.released_at) < clock_timestamp() - interval '1 hour'
)

-- part: moved_into_attempts
-- here: in_no_other_bucket
), staged AS (
    -- here: stage_in_progress
)
INSERT INTO batch_assets.attempt
    (batch_id, request_id, company_id, position, text_bytes, estimated_cost_eur)
SELECT
    moved.batch_id, moved.id, moved.company_id, moved.position, moved.text_bytes,
    moved.estimated_cost_eur
FROM moved

-- part: is_left_to_flex
-- Whether a failed request that is due is for the runs that send by flex: it is late, its model has
-- flex, and that has not been without room for it for too long.
cardinality(CAST(:flex_models AS text[])) > 0
AND coalesce((
    SELECT coalesce(
            (
                SELECT min(t.ended_at)
                FROM batch_assets.attempt AS t
                WHERE t.request_id = f.request_id
                    AND t.called_at IS NOT NULL
                    AND t.failure_kind = 'capacity'
                    AND NOT t.requeued
            ),
            greatest(
                f.retry_at,
                n."requestedAt" + make_interval(secs => CAST(:flex_late_after AS float8))
            )
        ) > statement_timestamp() - make_interval(secs => CAST(:flex_seconds AS float8))
    FROM public."AIProcessingRequest" AS n
    WHERE n.id = f.request_id
        AND n.model = ANY(CAST(:flex_models AS text[]))
        AND n."requestedAt"
            <= statement_timestamp() - make_interval(secs => CAST(:flex_late_after AS float8))
), false)

-- part: unattributed
-- What was billed of a batch and is with no attempt: what the server says that all answers together have
-- used, at the batch's price, less what those that were read have cost. Where it does not say, an
-- estimate: as many answers as it has counted, or as are missing, at what the others have cost. Nothing of
-- a batch that was given up: what it brings is booked apart, and later.
(unattributed_usd, unattributed_eur, unattributed_is_estimated) = (
    SELECT
        coalesce(max(
            CASE WHEN u.is_estimated THEN u.estimate_eur / b.usd_to_eur ELSE u.usd END
        ), 0),
        coalesce(max(
            CASE WHEN u.is_estimated THEN u.estimate_eur ELSE u.usd * b.usd_to_eur END
        ), 0),
        coalesce(bool_or(u.is_estimated AND u.estimate_eur > 0), false)
    FROM (
        SELECT
            s.is_estimated,
            CASE WHEN s.billed_usd - s.read_usd > 1e-9 * s.billed_usd
                THEN s.billed_usd - s.read_usd ELSE 0
            END AS usd,
            coalesce(
                b.cost_eur / nullif(s.lost_and_paid[2], 0),
                b.estimated_cost_eur / greatest(b.requests, 1)
            ) * CASE
                WHEN b.server_answered > 0
                THEN greatest(b.server_answered - s.answered + s.lost_and_paid[1] - s.returned_counted, 0)
                ELSE s.lost_and_paid[1]
            END AS estimate_eur
        FROM (
            SELECT
                b.server_prompt_tokens IS NULL AS is_estimated,
                b.completed + b.failed + b.discarded AS answered,
                r.counted AS returned_counted,
                coalesce(b.cost_usd, b.cost_eur / b.usd_to_eur, 0) AS read_usd,
                (b.server_prompt_tokens - b.server_cached_tokens)
                    * CAST(b.price -> 'batch' ->> 0 AS float8)
                    + b.server_cached_tokens * CAST(b.price -> 'batch' ->> 1 AS float8)
                    + b.server_completion_tokens * CAST(b.price -> 'batch' ->> 2 AS float8)
                AS billed_usd,
                CASE
                    WHEN b.server_prompt_tokens IS NULL
                        AND (
                            b.failed + b.discarded > 0
                            OR b.server_answered > b.completed + r.counted
                        )
                    THEN (
                        SELECT ARRAY[
                            count(*) FILTER (
                                WHERE a.code IN
                                    ('missing_result', 'results_lost', 'indeterminate_live')
                            ),
                            count(*) FILTER (WHERE a.cost_usd > 0)
                        ]
                        FROM batch_assets.attempt AS a
                        WHERE a.batch_id = b.id AND a.shares_answer_of IS NULL
                    )
                END AS lost_and_paid
            FROM (
                -- Most servers count what never ran neither as completed nor as failed.
                SELECT CASE WHEN b.server_answered < b.requests THEN 0 ELSE b.returned END AS counted
            ) AS r
            WHERE b.price IS NOT NULL AND b.server_status NOT IN ('lost', 'abandoned')
        ) AS s
    ) AS u
),

-- part: open_eur
-- What is estimated of batch b for the requests of which nothing was read, each as it was claimed; from before
-- estimates were kept with each, by the mean.
CASE
    WHEN b.completed + b.failed + b.returned + b.discarded = 0 THEN b.estimated_cost_eur
    ELSE (
        SELECT coalesce(
            sum(coalesce(a.estimated_cost_eur, b.estimated_cost_eur / greatest(b.requests, 1))), 0
        )
        FROM batch_assets.attempt AS a
        WHERE a.batch_id = b.id AND a.outcome IS NULL AND a.shares_answer_of IS NULL
    )
END

-- part: unpriced_eur
-- The same for its answers of which nobody knows what they have cost.
CASE
    WHEN b.unpriced = 0 THEN 0
    ELSE (
        SELECT coalesce(
            sum(coalesce(a.estimated_cost_eur, b.estimated_cost_eur / greatest(b.requests, 1))), 0
        )
        FROM batch_assets.attempt AS a
        WHERE a.batch_id = b.id AND a.cost_usd IS NULL AND a.prompt_tokens IS NOT NULL
    )
END

-- part: spent
-- What batch b counts with against caps of the day of its claim: requests that were sent, and EUR. What was
-- read of it with what it has cost, and once it is over what was billed and not read; with the estimate what
-- is still open, and answers of which the server says no usage. One that was given up has its estimate for
-- as long as it is looked for, then what it has brought. Nothing was bought of a released one. The second
-- batches of its intent come on top, whatever became of it. Synchronous requests that found no room were not
-- sent.
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN b.state = 'released' THEN 0
            WHEN b.kind = 'synchronous' THEN b.requests - (
                SELECT count(*)
                FROM batch_assets.attempt AS a
                WHERE a.batch_id = b.id AND a.failure_kind = 'capacity'
            )
            ELSE b.requests
        END
            + b.requests * twice.batches AS requests,
        twice.cost_eur + CASE
            WHEN b.state = 'released' THEN 0
            WHEN b.state <> 'finalized' THEN b.cost_eur
                +
                -- here: open_eur
                +
                -- here: unpriced_eur
            WHEN b.server_status IN ('lost', 'abandoned') THEN coalesce(
                (
                    SELECT CASE
                        WHEN g.poll_at IS NULL THEN b.cost_eur + g.wasted_cost_eur
                        ELSE greatest(b.estimated_cost_eur, b.cost_eur + g.wasted_cost_eur)
                    END
                    FROM batch_assets.abandoned_batch AS g
                    WHERE g.batch_id = b.id
                ),
                b.cost_eur
            )
            WHEN b.server_prompt_tokens IS NULL THEN b.cost_eur + b.unattributed_eur
                +
                -- here: unpriced_eur
            ELSE b.cost_eur + b.unattributed_eur
        END AS cost_eur
    FROM (
        SELECT
            count(*) FILTER (WHERE d.cost_eur IS DISTINCT FROM 0) AS batches,
            coalesce(sum(coalesce(d.cost_eur, d.estimated_cost_eur)), 0) AS cost_eur
        FROM batch_assets.duplicate_batch AS d
        WHERE d.batch_id = b.id
    ) AS twice
) AS spent

-- part: saved_eur
-- Of attempts a: only what could be used has saved something. Of some that were put back after the schema
-- was lost it is not known what a synchronous request would have cost.
coalesce(sum(a.synchronous_cost_eur - a.cost_eur) FILTER (
    WHERE a.outcome = 'completed' AND a.synchronous_cost_eur > 0
), 0)

-- part: added_by_run
-- What one run has read of a batch, which it may do in several goes.
ON CONFLICT (batch_id, run_id) DO UPDATE
SET usable_answers = r.usable_answers + excluded.usable_answers,
    unpriced_answers = r.unpriced_answers + excluded.unpriced_answers,
    prompt_tokens = r.prompt_tokens + excluded.prompt_tokens,
    cached_tokens = r.cached_tokens + excluded.cached_tokens,
    completion_tokens = r.completion_tokens + excluded.completion_tokens,
    reasoning_tokens = r.reasoning_tokens + excluded.reasoning_tokens,
    cost_usd = r.cost_usd + excluded.cost_usd,
    cost_eur = r.cost_eur + excluded.cost_eur,
    synchronous_cost_eur = r.synchronous_cost_eur + excluded.synchronous_cost_eur,
    saved_eur = r.saved_eur + excluded.saved_eur,
    unusable_eur = r.unusable_eur + excluded.unusable_eur,
    discarded_eur = r.discarded_eur + excluded.discarded_eur,
    began_at = least(r.began_at, excluded.began_at),
    read_at = greatest(r.read_at, excluded.read_at)

-- part: learn
-- Sums over what was answered, in which what was there before counts less by as many answers: half after
-- 1,000, and of EUR after 100, as in `domain/estimates.py`. Something is left of every sum, since the
-- server takes one that comes to nothing by that for an error. In the order of the key, and last in its
-- transaction: whoever waits here for another one holds nothing that this one will want.
INSERT INTO batch_assets.learnt_usage AS l
    (model, processing_type, answers,
    weight, text_bytes, text_bytes_squared, text_bytes_by_prompt_tokens, prompt_tokens,
    cached_tokens, completion_tokens, completion_tokens_squared, estimated_eur, billed_eur,
    off_eur)
SELECT
    g.model, g.processing_type, g.answers,
    g.weight, g.text_bytes, g.text_bytes_squared, g.text_bytes_by_prompt_tokens, g.prompt_tokens,
    g.cached_tokens, g.completion_tokens, g.completion_tokens_squared, g.estimated_eur,
    g.billed_eur, g.off_eur
FROM json_to_recordset(CAST(:learnt AS json)) AS g (
    model text, processing_type text, answers bigint,
    weight float8, text_bytes float8, text_bytes_squared float8,
    text_bytes_by_prompt_tokens float8, prompt_tokens float8, cached_tokens float8,
    completion_tokens float8, completion_tokens_squared float8, estimated_eur float8,
    billed_eur float8, off_eur float8
)
ORDER BY g.model, g.processing_type
ON CONFLICT (model, processing_type) DO UPDATE
SET answers = l.answers + excluded.answers,
    (
        weight, text_bytes, text_bytes_squared, text_bytes_by_prompt_tokens, prompt_tokens,
        cached_tokens, completion_tokens, completion_tokens_squared, estimated_eur, billed_eur,
        off_eur
    ) = (
        SELECT
            (l.weight + 1e-30) * k.of_tokens + excluded.weight,
            (l.text_bytes + 1e-30) * k.of_tokens + excluded.text_bytes,
            (l.text_bytes_squared + 1e-30) * k.of_tokens + excluded.text_bytes_squared,
            (l.text_bytes_by_prompt_tokens + 1e-30) * k.of_tokens + excluded.text_bytes_by_prompt_tokens,
            (l.prompt_tokens + 1e-30) * k.of_tokens + excluded.prompt_tokens,
            (l.cached_tokens + 1e-30) * k.of_tokens + excluded.cached_tokens,
            (l.completion_tokens + 1e-30) * k.of_tokens + excluded.completion_tokens,
            (l.completion_tokens_squared + 1e-30) * k.of_tokens + excluded.completion_tokens_squared,
            (l.estimated_eur + 1e-30) * k.of_eur + excluded.estimated_eur,
            (l.billed_eur + 1e-30) * k.of_eur + excluded.billed_eur,
            (l.off_eur + 1e-30) * k.of_eur + excluded.off_eur
        FROM (
            SELECT
                power(0.5::float8, least(excluded.answers / 1000.0, 100)) AS of_tokens,
                power(0.5::float8, least(excluded.answers / 100.0, 100)) AS of_eur
        ) AS k
    )

-- part: past_batches_as_json
-- In the order of `PastBatch`.
(
    SELECT coalesce(
        json_agg(
            json_build_array(t.model, t.requests, t.age_seconds, t.seconds, t.has_ended)
        ),
        '[]'
    )
    FROM (
        -- here: past_batches
    ) AS t
)

-- part: past_batches
-- How long batches of ours took, of each model the newest ones of several times back: whatever became of
-- them, since those that are quick to end would else be over-represented. So many hours, and around this
-- time of day on each of the last seven days. What has expired or was cancelled took longer than it ran;
-- what was refused whole, or given up, tells nothing.
WITH RECURSIVE sent_model AS (
    (
        SELECT b.model
        FROM batch_assets.batch AS b
        WHERE b.kind = 'batch' AND b.installation_id IS NOT NULL AND b.submitted_at IS NOT NULL
        ORDER BY b.model
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT b.model
        FROM batch_assets.batch AS b
        WHERE b.kind = 'batch'
            AND b.installation_id IS NOT NULL
            AND b.submitted_at IS NOT NULL
            AND b.model > sent_model.model
        ORDER BY b.model
        LIMIT 1
    )
    FROM sent_model
    WHERE sent_model.model IS NOT NULL
), sampled AS (
    -- A batch may be of two of these times, and is the same in both.
    SELECT DISTINCT
        o.id, o.model, o.requests, o.state, o.server_status, o.submitted_at, o.ended_at
    FROM sent_model
    CROSS JOIN (
        VALUES
        (0.0, 0.25), (0.25, 1.0), (1.0, 3.0), (3.0, 8.0), (8.0, 24.0), (24.0, 72.0), (72.0, 720.0),
        (23.0, 25.0), (47.0, 49.0), (71.0, 73.0), (95.0, 97.0), (119.0, 121.0), (143.0, 145.0),
        (167.0, 169.0)
    ) AS w (from_hours, to_hours)
    CROSS JOIN LATERAL (
        SELECT b.id, b.model, b.requests, b.state, b.server_status, b.submitted_at, b.ended_at
        FROM batch_assets.batch AS b
        WHERE b.kind = 'batch'
            AND b.installation_id IS NOT NULL
            AND b.model = sent_model.model
            AND b.submitted_at <= statement_timestamp() - make_interval(secs => w.from_hours * 3600)
            AND b.submitted_at > statement_timestamp() - make_interval(secs => w.to_hours * 3600)
        ORDER BY b.submitted_at DESC
        LIMIT 40
    ) AS o
)
SELECT
    s.model,
    s.requests,
    extract(epoch FROM statement_timestamp() - s.submitted_at)::float8 AS age_seconds,
    extract(
        epoch FROM coalesce(s.ended_at, statement_timestamp()) - s.submitted_at
    )::float8 AS seconds,
    s.ended_at IS NOT NULL AND s.server_status = 'completed' AS has_ended
FROM sampled AS s
WHERE s.state <> 'released'
    AND s.server_status NOT IN ('failed', 'lost', 'abandoned')
    AND s.submitted_at <= coalesce(s.ended_at, statement_timestamp())
