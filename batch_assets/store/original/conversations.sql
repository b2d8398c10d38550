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
