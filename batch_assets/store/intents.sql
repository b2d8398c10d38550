-- name: known
-- What was given up keeps its ids: what it brings, should it turn up again, is booked as it is read.
SELECT b.id, b.state, b.account, b.openai_batch_id, b.input_file_id
FROM batch_assets.batch AS b
WHERE b.id = ANY(CAST(:batch_ids AS text[])) AND b.installation_id IS NOT NULL

-- name: record_duplicates
-- What a second batch would have cost is what the first was estimated at: they are of one file. What it
-- has cost is what it has used by the end, at the first one's price.
INSERT INTO batch_assets.duplicate_batch
    (openai_batch_id, batch_id, estimated_cost_eur, cancelled_at, cost_usd, cost_eur)
SELECT
    g.openai_batch_id, b.id, b.estimated_cost_eur,
    CASE WHEN g.is_cancelled THEN clock_timestamp() END,
    c.usd, c.usd * CAST(:usd_to_eur AS float8)
FROM unnest(
    CAST(:openai_batch_ids AS text[]), CAST(:batch_ids AS text[]),
    CAST(:are_cancelled AS boolean[]), CAST(:prompt_tokens AS bigint[]),
    CAST(:cached_tokens AS bigint[]), CAST(:completion_tokens AS bigint[])
) AS g (
    openai_batch_id, batch_id, is_cancelled, prompt_tokens, cached_tokens, completion_tokens
)
JOIN batch_assets.batch AS b ON b.id = g.batch_id
CROSS JOIN LATERAL (
    SELECT
        (g.prompt_tokens - coalesce(g.cached_tokens, 0))
            * CAST(b.price -> 'batch' ->> 0 AS float8)
            + coalesce(g.cached_tokens, 0) * CAST(b.price -> 'batch' ->> 1 AS float8)
            + g.completion_tokens * CAST(b.price -> 'batch' ->> 2 AS float8)
        AS usd
) AS c
ON CONFLICT (openai_batch_id) DO UPDATE
SET cancelled_at = coalesce(duplicate_batch.cancelled_at, excluded.cancelled_at),
    cost_usd = coalesce(duplicate_batch.cost_usd, excluded.cost_usd),
    cost_eur = coalesce(duplicate_batch.cost_eur, excluded.cost_eur)

-- name: accounts_of
SELECT DISTINCT coalesce(b.account, '')
FROM batch_assets.batch AS b
WHERE b.openai_batch_id = ANY(CAST(:openai_batch_ids AS text[])) AND b.installation_id IS NOT NULL

-- name: recorded
SELECT b.openai_batch_id
FROM batch_assets.batch AS b
WHERE b.openai_batch_id = ANY(CAST(:openai_batch_ids AS text[]))

-- name: note_unknown
-- Read after the list, so that whatever has put something there has committed its intent before.
-- What was made before this database was said to be alone is nobody's any more.
INSERT INTO batch_assets.unknown_batch (remote_id, batch_id, made_at)
SELECT g.remote_id, g.batch_id, g.made_at
FROM unnest(
    CAST(:remote_ids AS text[]), CAST(:batch_ids AS text[]), CAST(:made_at AS timestamptz[])
) AS g (remote_id, batch_id, made_at)
CROSS JOIN batch_assets.installation AS i
WHERE NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = g.batch_id)
    AND coalesce(g.made_at > i.alone_since, true)
ON CONFLICT (remote_id) DO NOTHING
RETURNING remote_id

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
        AND u.account_name = :account_name
        AND u.file_pending_since IS NOT NULL
        AND (u.lease_expires_at IS NULL OR u.lease_expires_at < clock_timestamp())
    ORDER BY u.claimed_at, u.id
    LIMIT :limit
    FOR UPDATE OF u SKIP LOCKED
) AS free
WHERE b.id = free.id
RETURNING
    b.id, b.fence, b.company_id, b.model, b.requests, b.estimated_tokens, b.estimated_cost_eur,
    b.price IS NOT NULL AS is_priced, b.input_file_id, b.claimed_at, free.file_pending_since,
    extract(epoch FROM clock_timestamp() - free.file_pending_since)::float8 AS pending_seconds

-- name: open
-- How far the lists were read, and the accounts of which the server has batches that have not ended:
-- for long enough that no list lags so far behind.
SELECT
    clock_timestamp() AS opened_at,
    s.account, s.began_at, s.reading, s.after, s.lists_files, s.files, s.batches,
    s.shown_batches, s.shown_files, s.anchored_at,
    (
        SELECT coalesce(array_agg(DISTINCT coalesce(b.account, '')), '{}')
        FROM batch_assets.batch AS b
        WHERE b.state = 'submitted'
            AND b.account_name = :account_name
            AND b.installation_id = i.id
            AND b.submitted_at < clock_timestamp() - interval '15 minutes'
    ) AS running_accounts
FROM batch_assets.installation AS i
LEFT JOIN batch_assets.search AS s ON s.account_name = :account_name

-- name: keep
INSERT INTO batch_assets.search
    (account_name, account, began_at, reading, after, lists_files, files, batches, shown_batches, shown_files,
    anchored_at)
VALUES
    (:account_name, :account, :began_at, :reading, :after, :lists_files, CAST(:files AS jsonb),
    CAST(:batches AS jsonb), CAST(:shown_batches AS text[]), CAST(:shown_files AS text[]),
    :anchored_at)
ON CONFLICT (account_name) DO UPDATE
SET account = excluded.account,
    began_at = excluded.began_at,
    reading = excluded.reading,
    after = excluded.after,
    lists_files = excluded.lists_files,
    files = excluded.files,
    batches = excluded.batches,
    shown_batches = excluded.shown_batches,
    shown_files = excluded.shown_files,
    anchored_at = excluded.anchored_at
