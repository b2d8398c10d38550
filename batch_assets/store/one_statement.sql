-- name: active_companies
SELECT c.id, c.name
FROM public."Company" AS c
WHERE c.status = 'ACTIVE'
ORDER BY c.id

-- name: model_prices
-- The price in effect now; of two that overlap the later one.
SELECT DISTINCT ON (m.name)
    m.name,
    p."promptTokenCost" AS prompt,
    p."completionTokenCost" AS completion,
    -- Nothing of a moment at infinity.
    coalesce(
        to_char(p."effectiveFrom" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''
    ) AS since
FROM public."AIModel" AS m
JOIN public."AIModelPricing" AS p ON p."aiModelId" = m.id
WHERE p."effectiveFrom" <= CURRENT_TIMESTAMP
    AND (p."effectiveUntil" IS NULL OR p."effectiveUntil" > CURRENT_TIMESTAMP)
ORDER BY m.name, p."effectiveFrom" DESC

-- name: in_flight
SELECT
    b.id, b.fence, b.openai_batch_id, b.model, b.server_status, b.submitted_at,
    CAST(extract(epoch FROM clock_timestamp() - b.submitted_at) AS float8) AS age_seconds,
    CAST(
        extract(epoch FROM clock_timestamp() - b.server_status_since) AS float8
    ) AS unchanged_seconds,
    CAST(
        extract(
            epoch FROM clock_timestamp() - greatest(b.server_status_since, b.retrieved_at)
        ) AS float8
    ) AS unasked_seconds,
    CAST(extract(epoch FROM clock_timestamp() - b.cancelled_at) AS float8) AS cancelled_seconds,
    b.installation_id IS NOT DISTINCT FROM (
        SELECT i.id FROM batch_assets.installation AS i
    ) AS is_ours
FROM batch_assets.batch AS b
WHERE b.state = 'submitted' AND b.account_name = :account_name
ORDER BY b.claimed_at, b.id
LIMIT :limit

-- name: take_ended
UPDATE batch_assets.batch AS b
SET lease_owner = :owner,
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds),
    fence = b.fence + 1,
    read_run_id = :run_id
FROM (
    SELECT e.id
    FROM batch_assets.batch AS e
    WHERE e.state = 'ended'
        AND e.account_name = :account_name
        AND (e.lease_expires_at IS NULL OR e.lease_expires_at < clock_timestamp())
        AND (e.poll_at IS NULL OR e.poll_at <= clock_timestamp())
    ORDER BY e.claimed_at, e.id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
) AS free
WHERE b.id = free.id
RETURNING
    b.id, b.fence, b.kind, b.installation_id, b.company_id, b.model, b.openai_batch_id,
    b.server_status,
    b.server_errors, b.server_error_lines, b.server_answered,
    b.input_file_id, b.output_file_id, b.error_file_id, b.requests, b.run_id,
    (SELECT c.name FROM public."Company" AS c WHERE c.id = b.company_id) AS company,
    extract(epoch FROM clock_timestamp() - b.ended_at)::float8 AS ended_seconds,
    b.completed + b.failed + b.discarded AS answered, b.completed,
    b.returned,
    b.polls,
    extract(epoch FROM clock_timestamp() - b.incomplete_since)::float8 AS incomplete_seconds,
    b.output_bytes, b.error_bytes, b.price

-- name: leftovers
-- Only files that we made, or that were made for a batch of ours, are ours to delete. A batch that
-- was given back may have left its input file, if that could not be deleted then. Results that are not
-- all accounted for stay until the server's own date. None is while anything unknown is kept: a copy
-- that still needs the files may be at work.
SELECT
    b.id AS batch_id,
    b.input_file_id,
    CASE WHEN b.incomplete_since IS NULL THEN b.output_file_id END AS output_file_id,
    CASE WHEN b.incomplete_since IS NULL THEN b.error_file_id END AS error_file_id
FROM batch_assets.batch AS b
JOIN batch_assets.installation AS i ON i.id = b.installation_id
LEFT JOIN batch_assets.account_look AS k ON k.account_name = b.account_name
WHERE b.state IN ('finalized', 'released')
    AND b.account_name = :account_name
    AND b.installation_id IS NOT NULL
    AND b.input_file_id IS NOT NULL
    AND b.files_deleted_at IS NULL
    AND NOT EXISTS (SELECT FROM batch_assets.unknown_batch AS u WHERE u.acknowledged_at IS NULL)
    -- here: is_read_by_all
ORDER BY b.claimed_at, b.id
LIMIT :limit

-- name: take_unresolved
UPDATE batch_assets.batch AS b
SET lease_owner = :owner,
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds),
    fence = b.fence + 1,
    sought_at = coalesce(b.sought_at, clock_timestamp())
FROM (
    SELECT u.id
    FROM batch_assets.batch AS u
    JOIN batch_assets.installation AS i
        ON i.id = u.installation_id OR u.installation_id = 'orphaned'
    WHERE u.state IN ('claimed', 'uploaded')
        AND u.account_name = :account_name
        AND u.file_pending_since IS NULL
        AND (u.lease_expires_at IS NULL OR u.lease_expires_at < clock_timestamp())
    ORDER BY u.claimed_at, u.id
    LIMIT :limit
    FOR UPDATE OF u SKIP LOCKED
) AS free
WHERE b.id = free.id
RETURNING
    b.id, b.fence, b.account, b.input_file_id, b.claimed_at, b.sought_at, b.absences,
    b.absent_since, b.installation_id = 'orphaned' AS is_orphan
