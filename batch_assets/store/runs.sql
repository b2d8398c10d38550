-- name: beat
-- Says that a process lives, and hears what is wanted of its run. The row without a host is no
-- process: it is what others want of the run as a whole. What is older than a day is of no use any
-- more.
WITH old AS (
    DELETE FROM batch_assets.run_process AS o
    WHERE o.beat_at < clock_timestamp() - interval '1 day'
)
INSERT INTO batch_assets.run_process AS p (
    run_id, host, pid, started_ticks, host_name, began_at, beat_at
)
VALUES (
    :run_id, :host, :pid, :started_ticks, :host_name, clock_timestamp(), clock_timestamp()
)
ON CONFLICT (run_id, host, pid, started_ticks) DO UPDATE
SET beat_at = excluded.beat_at
RETURNING
    EXISTS (
        SELECT
        FROM batch_assets.run_process AS w
        WHERE w.run_id = p.run_id AND w.host = '' AND w.given_up_at IS NOT NULL
    ) AS is_given_up,
    EXISTS (
        SELECT
        FROM batch_assets.run_process AS w
        WHERE w.run_id = p.run_id AND w.host = '' AND w.cancel_asked_at IS NOT NULL
    ) AS is_to_end

-- name: end_process
UPDATE batch_assets.run_process AS p
SET ended_at = clock_timestamp(), beat_at = clock_timestamp()
WHERE p.run_id = :run_id
    AND p.host = :host
    AND p.pid = :pid
    AND p.started_ticks = :started_ticks

-- name: trace
-- Nobody could be heard before the server was started: silence begins then.
SELECT
    p.host, p.pid, p.started_ticks, p.host_name, p.beat_at,
    extract(
        epoch FROM clock_timestamp() - greatest(p.beat_at, pg_postmaster_start_time())
    )::float8 AS silent_seconds,
    p.ended_at IS NOT NULL AS has_ended,
    p.given_up_at IS NOT NULL AS is_given_up
FROM batch_assets.run_process AS p
WHERE p.run_id = :run_id

-- name: give_up
-- Not if one of its processes was heard of since it was looked at.
INSERT INTO batch_assets.run_process AS p (
    run_id, host, pid, started_ticks, host_name, given_up_at
)
SELECT CAST(:run_id AS text), '', 0, 0, '', clock_timestamp()
WHERE NOT EXISTS (
    SELECT
    FROM batch_assets.run_process AS b
    WHERE b.run_id = :run_id
        AND b.host <> ''
        AND b.beat_at > coalesce(CAST(:last_beat_at AS timestamptz), '-infinity')
)
ON CONFLICT (run_id, host, pid, started_ticks) DO UPDATE
SET given_up_at = excluded.given_up_at

-- name: ask_to_end
INSERT INTO batch_assets.run_process AS p (
    run_id, host, pid, started_ticks, host_name, cancel_asked_at
)
VALUES (:run_id, '', 0, 0, '', clock_timestamp())
ON CONFLICT (run_id, host, pid, started_ticks) DO UPDATE
SET cancel_asked_at = excluded.cancel_asked_at

-- name: keep
-- What an op that is executed again hands on replaces what it did before. What is older than a day is
-- of no use any more.
WITH old AS (
    DELETE FROM batch_assets.run_state AS o
    WHERE o.recorded_at < clock_timestamp() - interval '1 day'
)
INSERT INTO batch_assets.run_state AS s (run_id, op, state, recorded_at)
VALUES (:run_id, :op, CAST(:state AS jsonb), clock_timestamp())
ON CONFLICT (run_id, op) DO UPDATE
SET state = excluded.state, recorded_at = excluded.recorded_at

-- name: read
SELECT s.state
FROM batch_assets.run_state AS s
WHERE s.run_id = :run_id AND s.op = :op
