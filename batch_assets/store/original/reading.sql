-- name: all_companies
SELECT c.id, c.name, c.status::text AS status
FROM public."Company" AS c
ORDER BY c.id

-- name: company_requests
SELECT
    count(DISTINCT r."sessionId") AS sessions,
    -- here: counted_buckets
FROM public."Session" AS s
JOIN public."AIProcessingRequest" AS r ON r."sessionId" = s.id
-- here: entries_of_requests
WHERE s."companyId" = :company_id

-- name: company_money
-- What could be used has saved something; all else was paid for in vain.
SELECT
    coalesce(sum(b.prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(b.completion_tokens), 0)::bigint AS completion_tokens,
    coalesce(sum(b.cost_eur), 0) AS cost_eur,
    coalesce(sum(b.synchronous_cost_eur), 0) AS synchronous_cost_eur,
    coalesce(sum(t.saved_eur), 0) AS saved_eur,
    coalesce(sum(b.unpriced), 0)::bigint AS unpriced,
    coalesce(sum(b.unattributed_eur), 0) AS unattributed_eur
FROM batch_assets.batch AS b
LEFT JOIN LATERAL (
    SELECT
        -- here: saved_eur
        AS saved_eur
    FROM batch_assets.attempt AS a
    WHERE a.batch_id = b.id
) AS t ON true
WHERE b.company_id = :company_id

-- name: conversation_heads
-- In the order of their positions, which are the lines of the file; batches of before have none.
SELECT
    r.id AS request_id,
    r."sessionId" AS session_id,
    r.model,
    r."processingType" AS processing_type
FROM batch_assets.attempt AS a
JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
WHERE a.batch_id = :batch_id AND a.outcome IS NULL
ORDER BY a.position, r."requestedAt", r.id

-- name: messages_of_session
-- A message without a time of its own has that of its writing, as for LiveDash. A time at infinity
-- has no text.
SELECT
    coalesce(
        to_char(coalesce(m.timestamp, m."createdAt") AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        ''
    ) AS time,
    m.role,
    m.content
FROM public."Message" AS m
WHERE m."sessionId" = :session_id
ORDER BY m."order"
