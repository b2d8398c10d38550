-- name: statistics
WITH requests AS (
    SELECT
        s."companyId" AS company_id,
        count(DISTINCT s.id) AS sessions,
        -- here: counted_buckets
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    -- here: entries_of_requests
    GROUP BY s."companyId"
),
-- here: all_sums
, money AS (
    SELECT
        s.company_id,
        sum(s.prompt_tokens)::bigint AS prompt_tokens,
        sum(s.completion_tokens)::bigint AS completion_tokens,
        sum(s.cost_eur) AS cost_eur,
        sum(s.synchronous_cost_eur) AS synchronous_cost_eur,
        sum(s.saved_eur) AS saved_eur,
        sum(s.unpriced_answers)::bigint AS unpriced,
        sum(s.unattributed_eur) AS unattributed_eur
    FROM sums AS s
    GROUP BY s.company_id
)
SELECT
    c.id AS company_id,
    c.name,
    c.status::text AS status,
    coalesce(q.sessions, 0) AS sessions,
    coalesce(q.waiting, 0) AS waiting,
    coalesce(q.in_batch, 0) AS in_batch,
    coalesce(q.follows, 0) AS follows,
    coalesce(q.complete, 0) AS complete,
    coalesce(q.retry, 0) AS retry,
    coalesce(q.dead, 0) AS dead,
    coalesce(q.failed_elsewhere, 0) AS failed_elsewhere,
    coalesce(q.answered_before, 0) AS answered_before,
    coalesce(q.failed_before, 0) AS failed_before,
    coalesce(m.prompt_tokens, 0) AS prompt_tokens,
    coalesce(m.completion_tokens, 0) AS completion_tokens,
    coalesce(m.cost_eur, 0) AS cost_eur,
    coalesce(m.synchronous_cost_eur, 0) AS synchronous_cost_eur,
    coalesce(m.saved_eur, 0) AS saved_eur,
    coalesce(m.unpriced, 0) AS unpriced,
    coalesce(m.unattributed_eur, 0) AS unattributed_eur
FROM public."Company" AS c
LEFT JOIN requests AS q ON q.company_id = c.id
LEFT JOIN money AS m ON m.company_id = c.id
ORDER BY coalesce(q.sessions, 0) DESC, c.id

-- name: conversations
-- Each batch's requests are put in order before their messages are joined, and the batches come in
-- the order in which they were given: nothing large is sorted, and the cursor begins at once. Their
-- positions are the lines of the file; batches of before have none.
SELECT
    g.batch_id,
    h.request_id,
    h.session_id,
    h.model,
    h.processing_type,
    m.times,
    m.roles,
    m.contents
FROM unnest((SELECT CAST(:batch_ids AS text[]))) WITH ORDINALITY AS g (batch_id, position)
CROSS JOIN LATERAL (
    SELECT
        r.id AS request_id,
        r."sessionId" AS session_id,
        r.model,
        r."processingType" AS processing_type,
        r."requestedAt" AS requested_at
    FROM batch_assets.attempt AS a
    JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
    WHERE a.batch_id = g.batch_id AND coalesce(a.outcome, '') = ''
    ORDER BY a.position, r."requestedAt", r.id
    OFFSET 0
) AS h
CROSS JOIN LATERAL (
    -- A message without a time of its own has that of its writing, as for LiveDash. A time at
    -- infinity has no text.
    SELECT
        array_agg(
            coalesce(
                to_char(
                    coalesce(m.timestamp, m."createdAt") AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'
                ),
                ''
            )
            ORDER BY m."order"
        ) AS times,
        array_agg(m.role::text ORDER BY m."order") AS roles,
        array_agg(m.content ORDER BY m."order") AS contents
    FROM public."Message" AS m
    WHERE m."sessionId" = h.session_id
) AS m
