-- name: knows_followers
-- Earlier revisions have left what they had in flight to LiveDash, in its own words.
SELECT to_regclass('batch_assets.follower') IS NOT NULL

-- name: under_way
-- What nobody would end without our tables; LiveDash's own batches go on without them.
SELECT
    (
        SELECT count(*)
        FROM batch_assets.batch AS b
        WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
            AND b.installation_id IS NOT NULL
    )
    + (
        SELECT count(*)
        FROM public."AIBatchRequest" AS f
        WHERE
        -- here: is_half_made
    ) AS batches,
    (SELECT count(*) FROM batch_assets.retry AS f) AS put_off,
    (SELECT count(*) FROM batch_assets.follower AS w) AS following

-- name: readable
-- Which of the tables that say where runs are there are, and may be read.
SELECT format('%I.%I', n.nspname, t.relname) AS place
FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
WHERE (n.nspname, t.relname) IN (
    ('batch_assets', 'run_process'), ('dagster', 'runs'), ('dagster', 'run_tags')
)
AND has_schema_privilege(n.oid, 'USAGE')
AND has_table_privilege(t.oid, 'SELECT')

-- name: heard
-- Of each run when any of its processes was last heard of, and any that has not ended. Nobody could
-- be heard before the server was started: silence begins then.
SELECT
    p.run_id,
    bool_or(p.given_up_at IS NOT NULL) AS is_given_up,
    min(s.silent_seconds) FILTER (WHERE p.host <> '') AS silent_seconds,
    min(s.silent_seconds) FILTER (WHERE p.host <> '' AND p.ended_at IS NULL) AS working_silent_seconds
FROM batch_assets.run_process AS p
CROSS JOIN LATERAL (
    SELECT extract(
        epoch FROM clock_timestamp() - greatest(p.beat_at, pg_postmaster_start_time())
    )::float8 AS silent_seconds
) AS s
GROUP BY p.run_id
ORDER BY p.run_id

-- name: in_process
-- The runs that are under way by Dagster's word, since when, and whether they let themselves be heard.
SELECT
    r.run_id,
    extract(
        epoch FROM clock_timestamp()
        - coalesce(
            to_timestamp(r.start_time),
            coalesce(r.update_timestamp, r.create_timestamp) AT TIME ZONE 'UTC'
        )
    )::float8 AS seconds,
    EXISTS (
        SELECT FROM dagster.run_tags AS t WHERE t.run_id = r.run_id AND t.key = :watched
    ) AS is_watched
FROM dagster.runs AS r
WHERE r.status IN ('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING')
ORDER BY r.run_id

-- name: budgets
SELECT count(*) FROM batch_assets.budget AS g

-- name: of_accounts
-- What an older version would send or ask for with the one key that it knows.
SELECT
    (SELECT count(*) FROM batch_assets.company_account AS g WHERE g.account_name <> 'default')
        AS companies,
    (
        SELECT count(*)
        FROM batch_assets.batch AS b
        WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
            AND b.account_name <> 'default'
    ) AS batches
