-- name: put_off
-- The lease is given up: nothing was called for that would have to be looked up.
UPDATE batch_assets.batch AS b
SET file_pending_since = coalesce(g.since, clock_timestamp()),
    lease_owner = NULL,
    lease_expires_at = NULL
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])),
    (SELECT CAST(:fences AS bigint[])),
    (SELECT CAST(:since AS timestamptz[]))
) AS g (id, fence, since)
WHERE b.id = g.id AND b.fence = g.fence AND b.state = 'uploaded'

-- name: take
-- From here on a creation may be called for: whoever finds the batch later has to look it up.
UPDATE batch_assets.batch AS b
SET lease_owner = :owner,
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds),
    fence = b.fence + 1,
    file_pending_since = NULL
FROM (
    SELECT u.id, u.file_pending_since
    FROM batch_assets.batch AS u
    JOIN batch_assets.installation AS i ON i.id = u.installation_id
    WHERE u.state = 'uploaded'
        AND u.file_pending_since IS NOT NULL
        AND (u.lease_expires_at IS NULL OR u.lease_expires_at < clock_timestamp())
    ORDER BY u.claimed_at, u.id
    LIMIT :limit
    FOR UPDATE OF u SKIP LOCKED
) AS free
WHERE b.id = free.id
RETURNING
    b.id, b.fence, b.company_id, b.model, b.requests, b.estimated_tokens, b.estimated_cost_eur,
    b.input_file_id, b.claimed_at, free.file_pending_since,
    extract(epoch FROM clock_timestamp() - free.file_pending_since)::float8 AS pending_seconds
