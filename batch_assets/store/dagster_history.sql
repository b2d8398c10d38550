-- What Dagster has kept of runs, ticks and its daemon. Its moments have no zone, and are in UTC.

-- name: is_there
-- Dagster makes all of its tables at one time.
SELECT to_regclass('dagster.runs') IS NOT NULL

-- name: daemons
-- How long ago each of the daemon's parts was heard of, and how many errors it had then.
SELECT
    h.daemon_type AS part,
    extract(
        epoch FROM (clock_timestamp() AT TIME ZONE 'UTC') - h.timestamp
    )::float8 AS silent_seconds,
    CASE json_typeof(CAST(h.body AS json) -> 'errors')
        WHEN 'array' THEN json_array_length(CAST(h.body AS json) -> 'errors')
        ELSE 0
    END AS errors
FROM dagster.daemon_heartbeats AS h
ORDER BY h.daemon_type

-- name: switched_off
-- The schedules and sensors that somebody has switched off in the UI.
SELECT DISTINCT CAST(i.instigator_body AS json) #>> '{origin,job_name}' AS name
FROM dagster.instigators AS i
WHERE i.status = 'STOPPED'
ORDER BY name

-- name: runs
-- The newest first. A run that nobody has begun is as old as its record.
SELECT
    r.run_id,
    r.pipeline_name AS job,
    r.status,
    coalesce(to_timestamp(r.start_time), r.create_timestamp AT TIME ZONE 'UTC') AS began_at,
    to_timestamp(r.end_time) AS ended_at
FROM dagster.runs AS r
WHERE (CAST(:run_ids AS text[]) IS NULL OR r.run_id = ANY(CAST(:run_ids AS text[])))
    AND (CAST(:jobs AS text[]) IS NULL OR r.pipeline_name = ANY(CAST(:jobs AS text[])))
    AND (CAST(:statuses AS text[]) IS NULL OR r.status = ANY(CAST(:statuses AS text[])))
    AND (
        CAST(:since AS timestamptz) IS NULL
        OR r.create_timestamp >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
    )
ORDER BY r.id DESC
LIMIT :limit

-- name: runs_called
-- The runs whose id begins so; two are enough to say that it does not name one.
SELECT r.run_id
FROM dagster.runs AS r
WHERE starts_with(r.run_id, :beginning)
ORDER BY r.id DESC
LIMIT 2

-- name: failures
-- What a run's ops, and the run itself, have failed with, as Dagster keeps it.
SELECT e.run_id, e.event
FROM dagster.event_logs AS e
WHERE e.run_id = ANY(CAST(:run_ids AS text[]))
    AND e.dagster_event_type IN ('STEP_FAILURE', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED')
ORDER BY e.id

-- name: log
-- A run's records from a level on, as they came.
SELECT l.at, l.level, l.op, l.said
FROM (
    SELECT
        e.id,
        to_timestamp(CAST(j.event ->> 'timestamp' AS float8)) AS at,
        CAST(j.event ->> 'level' AS integer) AS level,
        coalesce(e.step_key, '') AS op,
        coalesce(
            nullif(j.event #>> '{dagster_event,event_specific_data,user_failure_data,description}', ''),
            nullif(j.event ->> 'user_message', ''),
            j.event #>> '{dagster_event,message}',
            ''
        ) AS said
    FROM dagster.event_logs AS e
    CROSS JOIN LATERAL (SELECT CAST(e.event AS json) AS event) AS j
    WHERE e.run_id = :run_id
) AS l
WHERE l.level >= :level AND l.said <> ''
ORDER BY l.id

-- name: last_ticks
-- When a schedule and when a sensor was evaluated last.
SELECT k.type, extract(epoch FROM (clock_timestamp() AT TIME ZONE 'UTC') - t.timestamp)::float8 AS seconds
FROM (VALUES ('SCHEDULE'), ('SENSOR')) AS k (type)
CROSS JOIN LATERAL (
    SELECT t.timestamp
    FROM dagster.job_ticks AS t
    WHERE t.type = k.type
    ORDER BY t.id DESC
    LIMIT 1
) AS t
