-- name: see_again
-- The server's word on batches that had ended already: what it shows of them can come late.
WITH given AS (
    SELECT g.*
    FROM unnest(
        (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[])),
        (SELECT CAST(:output_file_ids AS text[])), (SELECT CAST(:error_file_ids AS text[])),
        (SELECT CAST(:server_answered AS bigint[])), (SELECT CAST(:prompt_tokens AS bigint[])),
        (SELECT CAST(:cached_tokens AS bigint[])), (SELECT CAST(:completion_tokens AS bigint[]))
    ) AS g (
        id, fence, output_file_id, error_file_id, server_answered, prompt_tokens, cached_tokens,
        completion_tokens
    )
), moved AS (
    UPDATE batch_assets.batch AS b
    SET output_file_id = g.output_file_id,
        error_file_id = g.error_file_id,
        server_answered = g.server_answered,
        server_prompt_tokens = coalesce(g.prompt_tokens, b.server_prompt_tokens),
        server_cached_tokens = coalesce(g.cached_tokens, b.server_cached_tokens),
        server_completion_tokens = coalesce(g.completion_tokens, b.server_completion_tokens)
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
SET polls = b.polls + 1,
    poll_at = clock_timestamp() + make_interval(secs => g.seconds),
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
-- What is finalized although something of it is missing keeps its files on the server.
UPDATE batch_assets.batch AS b
SET incomplete_since = CASE
        WHEN g.is_incomplete THEN coalesce(b.incomplete_since, clock_timestamp())
    END
FROM unnest(
    (SELECT CAST(:batch_ids AS text[])), (SELECT CAST(:fences AS bigint[])),
    (SELECT CAST(:are_incomplete AS boolean[]))
) AS g (id, fence, is_incomplete)
WHERE b.id = g.id AND b.fence = g.fence AND b.state = 'ended'

-- name: take
-- Whoever takes one sets when it is looked at next: a run that is cut short has only lost one look.
-- The pause doubles, from a quarter of an hour to twelve hours; the look after the last day is the
-- last one. Those whose requests have not left them yet are left to ingestion.
WITH due AS MATERIALIZED (
    SELECT g.batch_id
    FROM batch_assets.abandoned_batch AS g
    JOIN batch_assets.batch AS b ON b.id = g.batch_id
    WHERE g.poll_at IS NOT NULL
        AND (g.poll_at <= clock_timestamp() OR :whenever)
        AND b.state = 'finalized'
        AND b.account_name = :account_name
    ORDER BY g.poll_at, g.batch_id
    LIMIT :limit
    FOR UPDATE OF g SKIP LOCKED
), taken AS (
    UPDATE batch_assets.abandoned_batch AS g
    SET polls = g.polls + 1,
        poll_at = CASE
            WHEN g.abandoned_at > clock_timestamp() - make_interval(days => :days)
            THEN clock_timestamp()
                + least(interval '15 minutes' * power(2, least(g.polls, 20)), interval '12 hours')
        END
    FROM due
    WHERE g.batch_id = due.batch_id
    RETURNING g.batch_id, g.poll_at IS NULL AS is_last
)
SELECT
    b.id AS batch_id,
    b.openai_batch_id,
    b.model,
    b.price,
    b.installation_id IS NOT DISTINCT FROM (
        SELECT i.id FROM batch_assets.installation AS i
    ) AS is_ours,
    t.is_last
FROM taken AS t
JOIN batch_assets.batch AS b ON b.id = t.batch_id
ORDER BY b.id

-- name: rows
-- What was answered before the batch was given up is paid for and booked already.
SELECT a.request_id, a.outcome IN ('unanswered', 'released') AS is_waste
FROM batch_assets.attempt AS a
WHERE a.batch_id = :batch_id AND a.shares_answer_of IS NULL

-- name: book
-- Each look counts all that it could read: what an earlier one has booked is among it. How much more.
WITH before AS MATERIALIZED (
    SELECT g.batch_id, g.answers, g.wasted_cost_eur, g.wasted_cost_usd
    FROM batch_assets.abandoned_batch AS g
    WHERE g.batch_id = :batch_id AND g.read_at IS NULL
    FOR UPDATE OF g
), booked AS (
    UPDATE batch_assets.abandoned_batch AS g
    SET answers = greatest(before.answers, :answers),
        wasted_cost_eur = greatest(before.wasted_cost_eur, :cost_eur),
        wasted_cost_usd = greatest(before.wasted_cost_usd, :cost_usd),
        booked_at = CASE
            WHEN :cost_eur > before.wasted_cost_eur THEN clock_timestamp() ELSE g.booked_at
        END,
        read_at = CASE WHEN :is_read THEN clock_timestamp() END,
        poll_at = CASE WHEN NOT :is_read THEN g.poll_at END
    FROM before
    WHERE g.batch_id = before.batch_id
)
SELECT
    greatest(:answers - before.answers, 0) AS answers,
    greatest(:cost_eur - before.wasted_cost_eur, 0) AS cost_eur,
    greatest(:cost_usd - coalesce(before.wasted_cost_usd, 0), 0) AS cost_usd
FROM before

-- name: standing
SELECT
    count(*) FILTER (WHERE g.poll_at IS NOT NULL) AS looked_for,
    coalesce(sum(g.answers), 0)::bigint AS answers,
    coalesce(sum(g.wasted_cost_eur), 0) AS wasted_cost_eur
FROM batch_assets.abandoned_batch AS g
