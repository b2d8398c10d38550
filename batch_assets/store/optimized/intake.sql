-- name: forget_gone
-- The next entries in the order of their ids are compared with the rows themselves: what LiveDash took
-- back, deleted, changed or finished itself no longer waits as it was noticed. Rows are looked up
-- one by one, in ways that no join can replace by reading whole tables. After the last entry the
-- first ones come again; another run that checks at this moment is waited for. Where an entry stays,
-- and LiveDash has put its session's stage back, the stage is in progress again.
WITH progress AS MATERIALIZED (
    SELECT p.checked_id FROM batch_assets.intake_progress AS p FOR UPDATE
), checked AS MATERIALIZED (
    SELECT i.request_id, i.company_id, i.model
    FROM batch_assets.intake AS i
    WHERE i.request_id > coalesce((SELECT progress.checked_id FROM progress), '')
    ORDER BY i.request_id
    LIMIT :entries
), looked AS MATERIALIZED (
    SELECT c.request_id, w.session_id
    FROM checked AS c
    LEFT JOIN LATERAL (
        SELECT r."sessionId" AS session_id
        FROM public."AIProcessingRequest" AS r
        WHERE r.id = c.request_id
            AND coalesce(
                r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL, false
            )
            -- here: is_fresh
            AND r.model = c.model
            AND c.company_id = (
                SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId"
            )
        OFFSET 0
    ) AS w ON true
), gone AS (
    DELETE FROM batch_assets.intake AS i
    WHERE i.request_id = ANY(ARRAY(
        SELECT l.request_id FROM looked AS l WHERE l.session_id IS NULL
    ))
), moved AS (
    SELECT l.session_id AS "sessionId"
    FROM looked AS l
    WHERE coalesce((
        SELECT true
        FROM public."SessionProcessingStatus" AS s
        WHERE s."sessionId" = l.session_id
            AND s.stage = 'AI_ANALYSIS'
            AND CAST(s.status AS text) <> 'IN_PROGRESS'
        FOR NO KEY UPDATE SKIP LOCKED
    ), false)
), staged AS (
    -- here: stage_in_progress
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
--
-- Of what LiveDash has answered or tried itself, and never marked so, there may be millions among what
-- waits. The tail steps over them as it finds them; the sweep counts them among its rows, since it
-- would else read all of them in vain, and looks for attempts of no more than a part of them. Of many
-- rows with one date it may pass over the rest.
--
-- What asks the same as another open request follows that one instead of coming in. What has left an
-- open attempt behind is still in its batch, whatever LiveDash says.
--
-- Whoever has waited for another run sees its progress, but neither what it has taken in nor a plan
-- that knows of it: nothing is read then, and the statement is to be sent again.
WITH progress AS MATERIALIZED (
    SELECT p.noticed_until, p.swept_at, p.xmin AS version
    FROM batch_assets.intake_progress AS p
    FOR UPDATE
), seen AS MATERIALIZED (
    SELECT coalesce(
        (SELECT progress.version FROM progress) <> (
            SELECT p.xmin FROM batch_assets.intake_progress AS p
        ),
        false
    ) AS has_waited
), bounds AS MATERIALIZED (
    SELECT
        CAST('PENDING_BATCHING' AS public."AIRequestStatus") AS waiting,
        greatest(
            CAST(:resume_at AS timestamptz),
            progress.noticed_until - make_interval(secs => :overlap_seconds),
            '-infinity'
        ) AS tail_from,
        coalesce(progress.swept_at, '-infinity') AS swept_until
    FROM seen
    LEFT JOIN progress ON true
    WHERE NOT seen.has_waited
), tail AS MATERIALIZED (
    SELECT r.id, r."sessionId", r.model, r."processingType", r."requestedAt"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
        AND r."requestedAt" >= (SELECT b.tail_from FROM bounds AS b)
        AND NOT coalesce(r."batchId", '') > ''
        -- here: is_fresh
        AND NOT coalesce(
            (SELECT true FROM batch_assets.intake AS i WHERE i.request_id = r.id), false
        )
    ORDER BY r."processingStatus", r."requestedAt"
    LIMIT :most
), read AS MATERIALIZED (
    SELECT
        n.id, n."sessionId", n.model, n."processingType", n."requestedAt", n.is_old
    FROM (
        SELECT
            r.id, r."sessionId", r.model, r."processingType", r."requestedAt",
            r.success OR r."completedAt" IS NOT NULL AS is_old
        FROM public."AIProcessingRequest" AS r
        WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
            AND r."requestedAt" > (SELECT b.swept_until FROM bounds AS b)
            AND NOT coalesce(r."batchId", '') > ''
        ORDER BY r."processingStatus", r."requestedAt"
        FETCH FIRST :swept_rows ROWS WITH TIES
    ) AS n
    LIMIT :tied_rows
), swept AS MATERIALIZED (
    SELECT w.id, w."sessionId", w.model, w."processingType", w."requestedAt", w.is_old
    FROM (
        SELECT
            x.id, x."sessionId", x.model, x."processingType", x."requestedAt", x.is_old,
            count(*) FILTER (WHERE x.is_old) OVER (ORDER BY x."requestedAt") AS old_rows
        FROM read AS x
    ) AS w
    WHERE w.old_rows <= :looked_up_rows
), before_all AS MATERIALIZED (
    -- What no sweep comes after: it begins behind the earliest date that there is.
    SELECT r.id, r."sessionId", r.model, r."processingType", r."requestedAt"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = ANY(ARRAY(SELECT b.waiting FROM bounds AS b))
        AND r."requestedAt" = '-infinity'
        AND NOT coalesce(r."batchId", '') > ''
        -- here: is_fresh
        AND NOT coalesce(
            (SELECT true FROM batch_assets.intake AS i WHERE i.request_id = r.id), false
        )
    LIMIT :most
), missing AS MATERIALIZED (
    SELECT t.id, t."sessionId", t.model, t."processingType", t."requestedAt" FROM tail AS t
    UNION
    SELECT b.id, b."sessionId", b.model, b."processingType", b."requestedAt" FROM before_all AS b
    UNION
    SELECT w.id, w."sessionId", w.model, w."processingType", w."requestedAt"
    FROM swept AS w
    WHERE NOT coalesce(
            (SELECT true FROM batch_assets.intake AS i WHERE i.request_id = w.id), false
        )
        AND (
            NOT w.is_old
            OR coalesce(
                (SELECT true FROM batch_assets.attempt AS t WHERE t.request_id = w.id LIMIT 1),
                (SELECT true FROM batch_assets.dead_letter AS t WHERE t.request_id = w.id),
                false
            )
        )
    ORDER BY "requestedAt", id
    LIMIT :most
), judged AS MATERIALIZED (
    SELECT
        r.id,
        r."sessionId",
        (SELECT s."companyId" FROM public."Session" AS s WHERE s.id = r."sessionId")
            AS company_id,
        r.model,
        r."requestedAt",
        -- here: leader_id
    FROM missing AS r
    WHERE NOT coalesce(
        (
            SELECT true
            FROM batch_assets.attempt AS a
            WHERE a.request_id = r.id AND a.outcome IS NULL
            LIMIT 1
        ),
        false
    )
        -- here: stage_is_free
), noticed AS (
    INSERT INTO batch_assets.intake (request_id, company_id, model, requested_at)
    SELECT j.id, j.company_id, j.model, j."requestedAt"
    FROM judged AS j
    WHERE j.leader_id IS NULL AND j.company_id IS NOT NULL
    ORDER BY j."requestedAt", j.id
    ON CONFLICT (request_id) DO NOTHING
    RETURNING request_id
), led AS MATERIALIZED (
    SELECT j.id, j.company_id, j.leader_id
    FROM judged AS j
    WHERE j.leader_id IS NOT NULL
        AND coalesce(
            (
                SELECT true
                FROM public."AIProcessingRequest" AS r
                WHERE r.id = j.id
                FOR NO KEY UPDATE SKIP LOCKED
            ),
            false
        )
), following AS (
    UPDATE public."AIProcessingRequest" AS r
    SET "processingStatus" = 'BATCHING_IN_PROGRESS', success = false, "completedAt" = NULL
    WHERE r.id = ANY(ARRAY(SELECT led.id FROM led))
        AND CAST(r."processingStatus" AS text) = 'PENDING_BATCHING'
        AND coalesce(r."batchId", '') = ''
    RETURNING r.id, r."requestedAt"
), not_put_off AS (
    -- LiveDash may have reset a row that we had given up or put off, as in `in_no_other_bucket`.
    DELETE FROM batch_assets.retry AS p
    WHERE p.request_id = ANY(ARRAY(SELECT following.id FROM following))
), not_dead AS (
    DELETE FROM batch_assets.dead_letter AS d
    WHERE d.request_id = ANY(ARRAY(SELECT following.id FROM following))
), follows AS (
    INSERT INTO batch_assets.follower (request_id, company_id, leader_id, requested_at)
    SELECT f.id, led.company_id, led.leader_id, f."requestedAt"
    FROM following AS f
    JOIN led ON led.id = f.id
    ON CONFLICT (request_id) DO UPDATE SET leader_id = excluded.leader_id
), moved AS (
    SELECT j."sessionId" FROM judged AS j WHERE j.company_id IS NOT NULL
), staged AS (
    -- here: stage_in_progress
), reached AS MATERIALIZED (
    SELECT
        m.is_full,
        m.last_at,
        w.is_whole AS is_swept_whole,
        w.last_at AS swept_at
    FROM (
        SELECT count(*) = :most AS is_full, max(missing."requestedAt") AS last_at
        FROM missing
    ) AS m
    CROSS JOIN (
        SELECT
            (SELECT count(*) FROM read) < :swept_rows AND (SELECT count(*) FROM read) = count(*)
                AS is_whole,
            coalesce(max(swept."requestedAt"), (SELECT min(x."requestedAt") FROM read AS x))
                AS last_at
        FROM swept
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
            WHEN NOT reached.is_swept_whole THEN reached.swept_at
        END
    FROM reached
    CROSS JOIN seen
    WHERE NOT seen.has_waited
    ON CONFLICT (only_row) DO UPDATE
    SET noticed_until = excluded.noticed_until, swept_at = excluded.swept_at
)
SELECT
    (SELECT count(*) FROM noticed) AS noticed,
    reached.is_full,
    reached.last_at,
    seen.has_waited
FROM reached
CROSS JOIN seen

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
    AND
    -- here: account_of_company
    = :account_name
ORDER BY w.oldest, c.company_id
