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
