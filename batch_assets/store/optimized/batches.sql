-- name: renew
UPDATE batch_assets.batch AS b
SET lease_expires_at = clock_timestamp() + make_interval(secs => :seconds)
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
WHERE b.id = g.id AND b.fence = g.fence AND b.lease_owner IS NOT NULL
RETURNING b.id

-- name: expire
UPDATE batch_assets.batch AS b
SET lease_owner = NULL, lease_expires_at = NULL
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
WHERE b.id = g.id AND b.fence = g.fence

-- name: uploaded
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET state = 'uploaded',
        input_file_id = g.input_file_id,
        input_bytes = g.input_bytes,
        requests = b.requests - g.dropped,
        uploaded_at = clock_timestamp(),
        lease_expires_at = clock_timestamp() + make_interval(secs => :seconds)
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[])),
        (SELECT CAST(:input_file_ids AS text[])), (SELECT CAST(:input_bytes AS bigint[])),
        (SELECT CAST(:dropped AS integer[]))
    ) AS g (id, fence, input_file_id, input_bytes, dropped)
    WHERE b.id = g.id AND b.fence = g.fence AND b.state = 'claimed'
    RETURNING b.id, b.input_file_id
), told AS (
    UPDATE public."AIBatchRequest" AS l
    SET status = 'UPLOADING', "inputFileId" = moved.input_file_id
    FROM moved
    WHERE l.id = moved.id AND l.status = 'PENDING'
)
SELECT moved.id FROM moved

-- name: forget_positions
-- Rows are missing in the input files, and nobody knows which: no line of these can be told.
UPDATE batch_assets.attempt AS a
SET position = NULL
WHERE a.batch_id = ANY(CAST(:batch_ids AS text[]))

-- name: submitted
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET state = 'submitted',
        openai_batch_id = g.openai_batch_id,
        input_file_id = coalesce(g.input_file_id, b.input_file_id),
        server_status = g.server_status,
        server_status_since = clock_timestamp(),
        submitted_at = clock_timestamp(),
        lease_owner = NULL,
        lease_expires_at = NULL
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[])),
        (SELECT CAST(:openai_batch_ids AS text[])), (SELECT CAST(:input_file_ids AS text[])),
        (SELECT CAST(:server_statuses AS text[]))
    ) AS g (id, fence, openai_batch_id, input_file_id, server_status)
    WHERE b.id = g.id AND b.fence = g.fence AND b.state IN ('claimed', 'uploaded')
    RETURNING b.id, b.openai_batch_id, g.input_file_id
), told AS (
    -- LiveDash's timers never look at a batch that is UPLOADING: so until every row has left it.
    UPDATE public."AIBatchRequest" AS l
    SET status = 'UPLOADING',
        "openaiBatchId" = moved.openai_batch_id,
        "inputFileId" = coalesce(moved.input_file_id, l."inputFileId")
    FROM moved
    WHERE l.id = moved.id AND l.status IN ('PENDING', 'UPLOADING')
)
SELECT moved.id FROM moved

-- name: released
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET state = 'released',
        released_at = clock_timestamp(),
        lease_owner = NULL,
        lease_expires_at = NULL
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
    ) AS g (id, fence)
    WHERE b.id = g.id AND b.fence = g.fence AND b.state IN ('claimed', 'uploaded')
    RETURNING b.id
), told AS (
    UPDATE public."AIBatchRequest" AS l
    SET status = 'CANCELLED'
    FROM moved
    WHERE l.id = moved.id AND l.status IN ('PENDING', 'UPLOADING')
)
SELECT moved.id FROM moved

-- name: open_rows
SELECT a.batch_id, a.request_id
FROM batch_assets.attempt AS a
WHERE a.batch_id = ANY(CAST(:batch_ids AS text[])) AND coalesce(a.outcome, '') = ''
ORDER BY a.batch_id, a.request_id
LIMIT :limit

-- name: statuses
-- A word that says nothing new changes nothing, so that an idle poll writes nothing.
WITH given AS (
    SELECT
        g.batch_id AS id, g.fence, g.ended, g.server_status, g.server_answered, g.output_file_id,
        g.error_file_id, g.status, g.completed_at, g.server_prompt_tokens, g.server_cached_tokens,
        g.server_completion_tokens,
        ARRAY(SELECT json_array_elements_text(g.server_errors)) AS server_errors,
        ARRAY(
            SELECT CAST(json_array_elements_text(g.server_error_lines) AS integer)
        ) AS server_error_lines
    FROM json_to_recordset(CAST(:seen AS json)) AS g (
        batch_id text, fence bigint, ended boolean, server_status text, server_errors json,
        server_error_lines json, server_answered bigint, output_file_id text, error_file_id text,
        status text, completed_at timestamptz, server_prompt_tokens bigint,
        server_cached_tokens bigint, server_completion_tokens bigint
    )
), moved AS (
    UPDATE batch_assets.batch AS b
    SET state = CASE WHEN g.ended THEN 'ended' ELSE b.state END,
        ended_at = CASE WHEN g.ended THEN clock_timestamp() END,
        server_status = g.server_status,
        server_status_since = CASE
            WHEN b.server_status = g.server_status THEN b.server_status_since
            ELSE clock_timestamp()
        END,
        server_errors = g.server_errors,
        server_error_lines = g.server_error_lines,
        server_answered = g.server_answered,
        server_prompt_tokens = coalesce(g.server_prompt_tokens, b.server_prompt_tokens),
        server_cached_tokens = coalesce(g.server_cached_tokens, b.server_cached_tokens),
        server_completion_tokens = coalesce(
            g.server_completion_tokens, b.server_completion_tokens
        ),
        output_file_id = g.output_file_id,
        error_file_id = g.error_file_id
    FROM given AS g
    WHERE b.id = g.id
        AND b.state = 'submitted'
        AND b.fence = g.fence
        AND (
            g.ended
            OR b.server_status <> g.server_status
            OR b.output_file_id IS DISTINCT FROM g.output_file_id
            OR b.error_file_id IS DISTINCT FROM g.error_file_id
        )
    RETURNING b.id, b.installation_id
), told AS (
    -- How a batch of ours is on the server is not for LiveDash's timers to know; its own they know.
    -- The server says whole seconds by its own clock: no batch ends before it was made.
    UPDATE public."AIBatchRequest" AS l
    SET status = CASE
            WHEN moved.installation_id IS NULL
            THEN CAST(g.status AS public."AIBatchRequestStatus")
            ELSE 'UPLOADING'
        END,
        "outputFileId" = g.output_file_id,
        "errorFileId" = g.error_file_id,
        "completedAt" = CASE
            WHEN g.completed_at IS NULL THEN l."completedAt"
            ELSE greatest(g.completed_at, l."createdAt")
        END
    FROM moved
    JOIN given AS g ON g.id = moved.id
    WHERE l.id = moved.id AND l.status NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')
)
SELECT count(*) FROM moved

-- name: absent
UPDATE batch_assets.batch AS b
SET absences = b.absences + 1,
    absent_since = coalesce(b.absent_since, clock_timestamp()),
    account = :account,
    lease_owner = NULL,
    lease_expires_at = NULL
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[]))
) AS g (id, fence)
WHERE b.id = g.id AND b.fence = g.fence AND b.state IN ('claimed', 'uploaded')

-- name: adopt_external
-- No installation id: they are read to the end like ours, but never cancelled and nothing of them
-- is deleted. Company by company, since LiveDash's index on the status begins with the company.
WITH adopted AS (
    INSERT INTO batch_assets.batch
        (id, company_id, state, requests, input_file_id, openai_batch_id, server_status,
        server_status_since, claimed_at, submitted_at)
    SELECT
        l.id, l."companyId", 'submitted',
        (SELECT count(*) FROM public."AIProcessingRequest" AS r WHERE r."batchId" = l.id),
        l."inputFileId", l."openaiBatchId", 'in_progress',
        clock_timestamp(), d.made_at, d.made_at
    FROM public."Company" AS c
    CROSS JOIN LATERAL (
        SELECT f.id, f."companyId", f."inputFileId", f."openaiBatchId", f."createdAt"
        FROM public."AIBatchRequest" AS f
        WHERE f."companyId" = c.id
            AND f.status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING', 'COMPLETED')
            AND NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = f.id)
        OFFSET 0
    ) AS l
    -- here: made_at
    ORDER BY l."createdAt", l.id
    ON CONFLICT DO NOTHING
    RETURNING id, company_id
), rows_of_them AS (
    INSERT INTO batch_assets.attempt (batch_id, request_id, company_id)
    SELECT adopted.id, r.id, adopted.company_id
    FROM adopted
    JOIN public."AIProcessingRequest" AS r
        ON r."batchId" = adopted.id
        AND CAST(r."processingStatus" AS text) = 'BATCHING_IN_PROGRESS'
)
SELECT count(*) FROM adopted
