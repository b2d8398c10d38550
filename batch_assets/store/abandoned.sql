-- name: take
-- Whoever takes one sets when it is looked at next: a run that is cut short has only lost one look.
-- The pause doubles, from a quarter of an hour to twelve hours; the look after the last day is the
-- last one. Those whose requests have not left them yet are left to ingestion.
WITH due AS MATERIALIZED (
    SELECT g.batch_id
    FROM batch_assets.abandoned_batch AS g
    JOIN batch_assets.batch AS b ON b.id = g.batch_id
    WHERE g.look_at IS NOT NULL
        AND (g.look_at <= clock_timestamp() OR :whenever)
        AND b.state = 'settled'
    ORDER BY g.look_at, g.batch_id
    LIMIT :limit
    FOR UPDATE OF g SKIP LOCKED
), taken AS (
    UPDATE batch_assets.abandoned_batch AS g
    SET looks = g.looks + 1,
        look_at = CASE
            WHEN g.abandoned_at > clock_timestamp() - make_interval(days => :days)
            THEN clock_timestamp()
                + least(interval '15 minutes' * power(2, least(g.looks, 20)), interval '12 hours')
        END
    FROM due
    WHERE g.batch_id = due.batch_id
    RETURNING g.batch_id, g.look_at IS NULL AS is_last
)
SELECT
    b.id AS batch_id,
    b.openai_batch_id,
    b.model,
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
    SELECT g.batch_id, g.answers, g.wasted_cost_eur
    FROM batch_assets.abandoned_batch AS g
    WHERE g.batch_id = :batch_id AND g.read_at IS NULL
    FOR UPDATE OF g
), booked AS (
    UPDATE batch_assets.abandoned_batch AS g
    SET answers = greatest(before.answers, :answers),
        wasted_cost_eur = greatest(before.wasted_cost_eur, :cost_eur),
        booked_at = CASE
            WHEN :cost_eur > before.wasted_cost_eur THEN clock_timestamp() ELSE g.booked_at
        END,
        read_at = CASE WHEN :is_read THEN clock_timestamp() END,
        look_at = CASE WHEN NOT :is_read THEN g.look_at END
    FROM before
    WHERE g.batch_id = before.batch_id
)
SELECT
    greatest(:answers - before.answers, 0) AS answers,
    greatest(:cost_eur - before.wasted_cost_eur, 0) AS cost_eur
FROM before

-- name: standing
SELECT
    count(*) FILTER (WHERE g.look_at IS NOT NULL) AS looked_for,
    coalesce(sum(g.answers), 0)::bigint AS answers,
    coalesce(sum(g.wasted_cost_eur), 0) AS wasted_cost_eur
FROM batch_assets.abandoned_batch AS g
