-- name: empty
-- Everything of the schedule before goes, whatever tables of ours there are by now; what identifies
-- the database stays, and where Dagster's runs are, whose history stays, too. TRUNCATE would make some
-- hundred files anew each time.
DO $$
DECLARE
    emptied record;
BEGIN
    DELETE FROM public."AIProcessingRequest";
    DELETE FROM public."AIBatchRequest";
    DELETE FROM public."Company";
    DELETE FROM batch_assets.attempt;
    DELETE FROM batch_assets.abandoned_batch;
    FOR emptied IN
        SELECT t.schemaname, t.tablename FROM pg_catalog.pg_tables AS t
        WHERE t.schemaname = 'batch_assets'
            AND t.tablename NOT IN (
                'installation', 'provenance', 'alembic_version', 'attempt', 'abandoned_batch',
                'run_process'
            )
    LOOP
        EXECUTE format('DELETE FROM %I.%I', emptied.schemaname, emptied.tablename);
    END LOOP;
END $$;

-- name: make_home
-- A new installation: what the server has of other schedules is none of its.
UPDATE batch_assets.installation
SET id = gen_random_uuid()::text,
    system_identifier = (SELECT system_identifier::text FROM pg_control_system()),
    database_name = current_database(),
    confirmed_at = CURRENT_TIMESTAMP,
    confirmed_by = 'the drill';

-- name: companies
INSERT INTO public."Company" ("id", "name", "status", "csvUrl", "updatedAt")
SELECT c.id, c.id, 'ACTIVE', 'https://example.com/sessions.csv', clock_timestamp()
FROM unnest(CAST(:company_ids AS text[])) AS c (id);

-- name: sessions
INSERT INTO public."Session" ("id", "companyId", "startTime", "endTime", "updatedAt")
SELECT r.id, r.company_id, clock_timestamp(), clock_timestamp(), clock_timestamp()
FROM unnest(CAST(:ids AS text[]), CAST(:of_companies AS text[])) AS r (id, company_id);

-- name: messages
INSERT INTO public."Message" ("id", "sessionId", "timestamp", "role", "content", "order")
SELECT r.id || '-m' || m.position, r.id, clock_timestamp(), m.role, m.content, m.position
FROM unnest(CAST(:ids AS text[])) AS r (id)
CROSS JOIN (VALUES (0, 'user', 'May I take Friday off?'), (1, 'assistant', 'Yes, you may.'))
    AS m (position, role, content);

-- name: requests
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
    "requestedAt"
)
SELECT r.id, r.id, r.model, 0, 0, 0, 0, 0, 0, :processing_type, false, clock_timestamp()
FROM unnest(CAST(:ids AS text[]), CAST(:models AS text[])) AS r (id, model);

-- name: stages
-- As LiveDash sets them: IN_PROGRESS with a request, PENDING without.
INSERT INTO public."SessionProcessingStatus" ("id", "sessionId", "stage", "status")
SELECT s.id || '-stage', s.id, 'AI_ANALYSIS', CAST(:status AS public."ProcessingStatus")
FROM unnest(CAST(:ids AS text[])) AS s (id);

-- name: company_status
UPDATE public."Company" SET "status" = CAST(:status AS "CompanyStatus") WHERE "id" = :company_id;

-- name: delete_session
DELETE FROM public."Session" WHERE "id" = :id;

-- name: let_time_pass
-- As if everything that is waited for had come: leases, the grace, dates, cooldowns and breakers.
WITH retries AS (
    UPDATE batch_assets.retry SET retry_at = clock_timestamp() - interval '1 second'
    RETURNING 1
), pauses AS (
    DELETE FROM batch_assets.model_cooldown RETURNING 1
), breakers AS (
    UPDATE batch_assets.breaker SET retry_at = clock_timestamp() - interval '1 second'
    WHERE retry_at IS NOT NULL
    RETURNING 1
)
UPDATE batch_assets.batch AS b
SET lease_expires_at = b.lease_expires_at - make_interval(secs => :seconds),
    absent_since = b.absent_since - make_interval(secs => :seconds),
    server_status_since = b.server_status_since - make_interval(secs => :seconds),
    ended_at = b.ended_at - make_interval(secs => :seconds)
WHERE b.state NOT IN ('finalized', 'released');

-- name: of_another_company
-- Rows in a batch of a company that is not theirs.
SELECT a.request_id, b.company_id AS batch_company_id
FROM batch_assets.attempt AS a
JOIN batch_assets.batch AS b ON b.id = a.batch_id
JOIN public."AIProcessingRequest" AS r ON r.id = a.request_id
JOIN public."Session" AS s ON s.id = r."sessionId"
WHERE b.company_id <> s."companyId";

-- name: end_connections
-- What a killed run left: its last statement may still be under way.
SELECT count(pg_terminate_backend(a.pid, 5000))
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.application_name = 'batch-assets';

-- name: open_work
-- What is still to be done, and in how many seconds a run finds something to do about it: none if
-- there is anything that only a run can tell. A batch of LiveDash's counts for the requests that it
-- holds: our server does not know it, so none will end it once they are done. What waits does so for
-- its model or for a breaker; a batch for its lease, and one that was missed once for the end of the
-- grace, or one that was read in part for its next look; a retry for its date.
WITH open_batch AS MATERIALIZED (
    SELECT
        greatest(
            coalesce(b.lease_expires_at, 'epoch'),
            CASE
                WHEN b.state IN ('claimed', 'uploaded')
                    THEN b.absent_since + make_interval(secs => :grace_seconds)
                WHEN b.state = 'ended' THEN b.poll_at
            END
        ) AS ready_at
    FROM batch_assets.batch AS b
    WHERE b.state NOT IN ('finalized', 'released')
        AND (
            b.installation_id IS NOT NULL
            OR EXISTS (
                SELECT FROM public."AIProcessingRequest" AS r
                WHERE r."batchId" = b.id AND r."processingStatus" = 'BATCHING_IN_PROGRESS'
            )
        )
), open_request AS MATERIALIZED (
    SELECT
        r."processingStatus" = 'PENDING_BATCHING' AS is_waiting,
        (SELECT p.until FROM batch_assets.model_cooldown AS p WHERE p.model = r.model) AS rests_until
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" IN ('PENDING_BATCHING', 'BATCHING_IN_PROGRESS')
), ready AS (
    SELECT o.ready_at FROM open_batch AS o
    UNION ALL
    SELECT f.retry_at FROM batch_assets.retry AS f
    UNION ALL
    SELECT
        greatest(
            coalesce(o.rests_until, 'epoch'),
            (
                SELECT max(k.retry_at) FROM batch_assets.breaker AS k
                WHERE k.operation IN ('upload', 'create_batch')
            )
        )
    FROM open_request AS o
    WHERE o.is_waiting
)
SELECT
    -- What is to be retried, or follows another one, is in progress as well.
    (SELECT count(*) FROM open_request) + (SELECT count(*) FROM open_batch) AS left_over,
    coalesce(
        extract(epoch FROM greatest(
            (SELECT min(r.ready_at) FROM ready AS r) - clock_timestamp(), interval '0'
        )), 0
    )::float8 AS idle_seconds;

-- name: buckets
-- Each request with the buckets that it is in, of which there has to be one.
SELECT r.id, r."processingStatus"::text AS status, r."batchId" AS batch_id,
    array_remove(ARRAY[
        CASE WHEN r."processingStatus" = 'PENDING_BATCHING' THEN 'waiting' END,
        CASE
            WHEN r."processingStatus" = 'BATCHING_IN_PROGRESS' AND r."batchId" IS NOT NULL
            THEN 'in_batch'
        END,
        CASE WHEN r."processingStatus" = 'PROCESSING_COMPLETE' THEN 'complete' END,
        CASE WHEN f.request_id IS NOT NULL THEN 'retry' END,
        CASE WHEN w.request_id IS NOT NULL THEN 'follows' END,
        CASE WHEN d.request_id IS NOT NULL THEN 'dead' END
    ], NULL) AS buckets,
    r."processingStatus" <> 'PENDING_BATCHING' OR r."batchId" IS NULL AS fits_batch,
    CASE
        WHEN d.request_id IS NOT NULL THEN r."processingStatus" = 'PROCESSING_FAILED'
        WHEN coalesce(f.request_id, w.request_id) IS NOT NULL
            THEN r."processingStatus" = 'BATCHING_IN_PROGRESS' AND r."batchId" IS NULL
        ELSE r."processingStatus" <> 'PROCESSING_FAILED'
    END AS fits_status,
    d.code,
    (SELECT count(*) FROM batch_assets.attempt AS a
        WHERE a.request_id = r.id AND a.outcome IS NULL) AS open_attempts,
    (SELECT count(*) FROM batch_assets.attempt AS a
        WHERE a.request_id = r.id AND a.outcome = 'completed') AS completions
FROM public."AIProcessingRequest" AS r
LEFT JOIN batch_assets.retry AS f ON f.request_id = r.id
LEFT JOIN batch_assets.follower AS w ON w.request_id = r.id
LEFT JOIN batch_assets.dead_letter AS d ON d.request_id = r.id
ORDER BY r.id;

-- name: failed_attempts
-- Attempts that came to nothing by what the server sent: with its id of the batch, which its ledger
-- has too. In a batch that was cut short, one whose line cannot be read ends unanswered.
SELECT a.request_id, b.openai_batch_id, a.outcome
FROM batch_assets.attempt AS a
JOIN batch_assets.batch AS b ON b.id = a.batch_id
WHERE a.outcome IN ('failed', 'unanswered') AND b.openai_batch_id IS NOT NULL;

-- name: synchronous_attempts
SELECT a.request_id, a.batch_id, b.openai_batch_id, a.outcome, a.code
FROM batch_assets.batch AS b
JOIN batch_assets.attempt AS a ON a.batch_id = b.id
WHERE b.kind = 'synchronous';

-- name: in_flight
SELECT b.id
FROM batch_assets.batch AS b
WHERE b.kind = 'batch' AND b.state IN ('submitted', 'ended');

-- name: given_up
-- Batches that an operator gave up, with the answers that were read of them all the same, and how many
-- had been before: also such as LiveDash had bought as well, or whose session was gone.
SELECT b.id, b.openai_batch_id, g.answers,
    (SELECT count(*) FROM batch_assets.attempt AS a
        WHERE a.batch_id = b.id AND a.outcome NOT IN ('unanswered', 'released')) AS known
FROM batch_assets.abandoned_batch AS g
JOIN batch_assets.batch AS b ON b.id = g.batch_id;

-- name: installation
SELECT i.id FROM batch_assets.installation AS i;
