-- name: forget_gone
-- The next entries in the order of their ids are compared with the live rows: what LiveDash took
-- back, deleted, changed or finished itself no longer waits as it was noticed. Rows are looked up
-- one by one, in ways that no join can replace by reading whole tables. After the last entry the
-- first ones come again; another run that checks at this moment is waited for.
WITH progress AS MATERIALIZED (
    SELECT p.checked_id FROM batch_assets.intake_progress AS p FOR UPDATE
), checked AS MATERIALIZED (
    SELECT i.request_id, i.company_id, i.model
    FROM batch_assets.intake AS i
    WHERE i.request_id > coalesce((SELECT progress.checked_id FROM progress), '')
    ORDER BY i.request_id
    LIMIT :entries
), gone AS (
    DELETE FROM batch_assets.intake AS i
    WHERE i.request_id = ANY(ARRAY(
        SELECT c.request_id
        FROM checked AS c
        WHERE NOT coalesce((
            SELECT r."processingStatus" = 'PENDING_BATCHING'
                AND r."batchId" IS NULL
                AND r.model = c.model
                AND c.company_id = (
                    SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId"
                )
            FROM public."AIProcessingRequest" AS r
            WHERE r.id = c.request_id
        ), false)
    ))
)
INSERT INTO batch_assets.intake_progress AS p (checked_id)
SELECT CASE WHEN count(*) = :entries THEN max(c.request_id) END
FROM checked AS c
ON CONFLICT (only_row) DO UPDATE
SET checked_id = excluded.checked_id
WHERE p.checked_id IS DISTINCT FROM excluded.checked_id

-- name: notice_pending
-- Two reads of the waiting rows in the order of their dates. The tail begins a little before the end
-- of what was read last: rows may be committed late, and their dates be those of other clocks. The
-- sweep goes on where it was, for rows that are later than that or wait again, and begins anew after
-- the last; rows of one date are read together, since no index has an order among them.
--
-- What waits comes and goes in no time, so statistics of it are always wrong, and the planner must
-- not use them: else it reads all that waits and sorts it, or the history. It knows nothing of the
-- bounds, which come out of a query, only one index has the order that is asked for, and what is
-- looked up for each row makes every row that is read in vain expensive. So it takes that index,
-- on ("processingStatus", "requestedAt"), from the one bound to the other.
WITH progress AS MATERIALIZED (
    SELECT p.noticed_until, p.swept_at FROM batch_assets.intake_progress AS p FOR UPDATE
), bounds AS MATERIALIZED (
    SELECT
        CAST('PENDING_BATCHING' AS public."AIRequestStatus") AS waiting,
        greatest(
            CAST(:resume_at AS timestamptz),
            progress.noticed_until - make_interval(secs => :overlap_seconds),
            '-infinity'
        ) AS tail_from,
        coalesce(progress.swept_at, '-infinity') AS swept_until
    FROM (SELECT) AS nothing
    LEFT JOIN progress ON true
), tail AS MATERIALIZED (
    SELECT r.id, r."sessionId", r.model, r."requestedAt"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
        AND r."requestedAt" >= (SELECT b.tail_from FROM bounds AS b)
        AND NOT coalesce(r."batchId", '') > ''
        AND NOT coalesce(
            (SELECT true FROM batch_assets.intake AS i WHERE i.request_id = r.id), false
        )
    ORDER BY r."processingStatus", r."requestedAt"
    LIMIT :most
), swept AS MATERIALIZED (
    SELECT r.id, r."sessionId", r.model, r."requestedAt"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
        AND r."requestedAt" > (SELECT b.swept_until FROM bounds AS b)
        AND NOT coalesce(r."batchId", '') > ''
        AND (
            SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId"
        ) IS NOT NULL
    ORDER BY r."processingStatus", r."requestedAt"
    FETCH FIRST :swept_rows ROWS WITH TIES
), missing AS MATERIALIZED (
    SELECT t.id, t."sessionId", t.model, t."requestedAt" FROM tail AS t
    UNION
    SELECT w.id, w."sessionId", w.model, w."requestedAt"
    FROM swept AS w
    WHERE NOT coalesce(
        (SELECT true FROM batch_assets.intake AS i WHERE i.request_id = w.id), false
    )
    ORDER BY "requestedAt", id
    LIMIT :most
), noticed AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT
        m.id,
        (SELECT s."companyId" FROM public."Session" AS s WHERE s.id = m."sessionId"),
        m.model,
        m."requestedAt"
    FROM missing AS m
    ORDER BY m."requestedAt", m.id
    ON CONFLICT (request_id) DO NOTHING
    RETURNING request_id
), reached AS MATERIALIZED (
    SELECT
        m.is_full,
        m.last_at,
        w.rows AS swept_rows,
        w.last_at AS swept_at
    FROM (
        SELECT count(*) = :most AS is_full, max(missing."requestedAt") AS last_at FROM missing
    ) AS m
    CROSS JOIN (
        SELECT count(*) AS rows, max(swept."requestedAt") AS last_at FROM swept
    ) AS w
), kept AS (
    -- With more to come both go on from here; a date that lies in the future is not yet reached.
    INSERT INTO batch_assets.intake_progress AS p (noticed_until, swept_at)
    SELECT
        CASE
            WHEN reached.is_full
            THEN greatest(
                (SELECT progress.noticed_until FROM progress),
                least(reached.last_at, statement_timestamp())
            )
            ELSE statement_timestamp()
        END,
        CASE
            WHEN reached.is_full THEN (SELECT progress.swept_at FROM progress)
            WHEN reached.swept_rows >= :swept_rows THEN reached.swept_at
        END
    FROM reached
    ON CONFLICT (only_row) DO UPDATE
    SET noticed_until = excluded.noticed_until, swept_at = excluded.swept_at
)
SELECT
    (SELECT count(*) FROM noticed) AS noticed,
    reached.is_full,
    reached.last_at
FROM reached

-- name: pending_by_company
SELECT
    c.company_id,
    w.requests,
    extract(epoch FROM clock_timestamp() - w.oldest)::float8 AS oldest_wait_seconds
FROM unnest((SELECT CAST(:company_ids AS text[]))) AS c (company_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS requests, min(i.requested_at) AS oldest
    FROM batch_assets.intake AS i
    WHERE i.company_id = c.company_id
) AS w
WHERE w.requests > 0
ORDER BY w.oldest
