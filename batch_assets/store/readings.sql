-- name: see_again
-- The server's word on batches that had ended already: what it shows of them can come late.
WITH given AS (
    SELECT g.*
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[])),
        (SELECT CAST(:output_file_ids AS text[])), (SELECT CAST(:error_file_ids AS text[])),
        (SELECT CAST(:server_answered AS bigint[]))
    ) AS g (id, fence, output_file_id, error_file_id, server_answered)
), moved AS (
    UPDATE batch_assets.batch AS b
    SET output_file_id = g.output_file_id,
        error_file_id = g.error_file_id,
        server_answered = g.server_answered
    FROM given AS g
    WHERE b.id = g.id AND b.fence = g.fence AND b.state = 'ended'
    RETURNING b.id, b.output_file_id, b.error_file_id
)
UPDATE public."AIBatchRequest" AS l
SET "outputFileId" = moved.output_file_id, "errorFileId" = moved.error_file_id
FROM moved
WHERE l.id = moved.id AND l.status NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')

-- name: look_later
UPDATE batch_assets.batch AS b
SET looks = b.looks + 1,
    look_at = clock_timestamp() + make_interval(secs => g.seconds),
    incomplete_since = CASE
        WHEN g.is_incomplete THEN coalesce(b.incomplete_since, clock_timestamp())
        ELSE b.incomplete_since
    END,
    output_bytes = g.output_bytes,
    error_bytes = g.error_bytes,
    lease_owner = NULL,
    lease_expires_at = NULL
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[])),
    (SELECT CAST(:seconds AS float8[])), (SELECT CAST(:are_incomplete AS boolean[])),
    (SELECT CAST(:output_bytes AS bigint[])), (SELECT CAST(:error_bytes AS bigint[]))
) AS g (id, fence, seconds, is_incomplete, output_bytes, error_bytes)
WHERE b.id = g.id AND b.fence = g.fence AND b.state = 'ended'

-- name: note_completeness
-- What is settled although something of it is missing keeps its files on the server.
UPDATE batch_assets.batch AS b
SET incomplete_since = CASE
        WHEN g.is_incomplete THEN coalesce(b.incomplete_since, clock_timestamp())
    END
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[])),
    (SELECT CAST(:are_incomplete AS boolean[]))
) AS g (id, fence, is_incomplete)
WHERE b.id = g.id AND b.fence = g.fence AND b.state = 'ended'
