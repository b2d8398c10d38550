-- name: count_failure
-- One failure more. The row comes with the first one in a row; with as many as it takes the breaker
-- opens, and a failed trial opens it for twice as long as before. While it is open nothing is
-- counted: those calls were begun before. A trial is known by the moment at which it began.
INSERT INTO batch_assets.breaker AS k
    (account_name, operation, state, failures, code, reason, retry_at, changed_at)
VALUES (
    :account_name,
    :operation,
    CASE WHEN :limit <= 1 THEN 'open' ELSE 'closed' END,
    1,
    :code,
    :reason,
    CASE
        WHEN :limit <= 1 THEN clock_timestamp() + make_interval(
            secs => greatest(:seconds * (0.5 + random() / 2), :asked_seconds)
        )
    END,
    clock_timestamp()
)
ON CONFLICT (account_name, operation) DO UPDATE
SET failures = k.failures + 1,
    code = excluded.code,
    reason = excluded.reason,
    state = CASE WHEN k.failures + 1 >= :limit THEN 'open' ELSE 'closed' END,
    retry_at = CASE
        WHEN k.failures + 1 >= :limit THEN clock_timestamp() + make_interval(
            secs => greatest(
                least(
                    :max_seconds,
                    :seconds * 2.0 ^ least(greatest(k.failures + 1 - :limit, 0), 30)
                ) * (0.5 + random() / 2),
                :asked_seconds
            )
        )
    END,
    changed_at = clock_timestamp()
WHERE k.state = 'closed' OR (k.state = 'half_open' AND k.changed_at = :trial)
RETURNING
    k.operation,
    k.state,
    k.failures,
    k.code,
    k.reason,
    k.retry_at,
    k.changed_at,
    coalesce(extract(epoch FROM k.retry_at - clock_timestamp()), 0)::float8 AS seconds_left

-- name: forget_failures
-- A call that was answered ends what failed in a row, and a trial that was answered closes the
-- breaker; one that was begun before the breaker opened says nothing about now.
DELETE FROM batch_assets.breaker AS k
WHERE k.account_name = :account_name
    AND k.operation = :operation
    AND (k.state = 'closed' OR (k.state = 'half_open' AND k.changed_at = :trial))

-- name: begin_trial
-- Of several runs one gets the trial. A run that was killed in its trial holds the others up only
-- until `retry_at`.
UPDATE batch_assets.breaker AS k
SET state = 'half_open',
    retry_at = clock_timestamp() + make_interval(secs => :seconds),
    changed_at = clock_timestamp()
WHERE k.account_name = :account_name
    AND k.operation = :operation
    AND k.state IN ('open', 'half_open')
    AND k.retry_at <= clock_timestamp()
RETURNING
    k.operation,
    k.state,
    k.failures,
    k.code,
    k.reason,
    k.retry_at,
    k.changed_at,
    coalesce(extract(epoch FROM k.retry_at - clock_timestamp()), 0)::float8 AS seconds_left

-- name: all
SELECT
    k.operation,
    k.state,
    k.failures,
    k.code,
    k.reason,
    k.retry_at,
    k.changed_at,
    coalesce(extract(epoch FROM k.retry_at - clock_timestamp()), 0)::float8 AS seconds_left
FROM batch_assets.breaker AS k
WHERE k.account_name = :account_name
ORDER BY k.operation

-- name: reset
DELETE FROM batch_assets.breaker AS k
WHERE k.account_name = :account_name AND k.operation = ANY(:operations)
RETURNING k.operation, k.state

-- name: scheduler
-- The row is made with the first cooldown or reset.
SELECT p.failed_runs, p.until, p.reason, p.reset_at, p.reset_by
FROM batch_assets.schedule_cooldown AS p

-- name: cool_scheduler
-- Every tick of a cooldown says the same: only the first one writes it. A tick that did not see the
-- latest reset changes nothing.
INSERT INTO batch_assets.schedule_cooldown AS p (failed_runs, until, reason, changed_at)
VALUES (:failed_runs, :until, :reason, clock_timestamp())
ON CONFLICT (only_row) DO UPDATE
SET failed_runs = excluded.failed_runs,
    until = excluded.until,
    reason = excluded.reason,
    changed_at = excluded.changed_at
WHERE p.until IS DISTINCT FROM excluded.until AND p.reset_at IS NOT DISTINCT FROM :reset_at

-- name: end_scheduler_cooldown
UPDATE batch_assets.schedule_cooldown AS p
SET failed_runs = 0, until = NULL, reason = '', changed_at = clock_timestamp()
WHERE p.until IS NOT NULL

-- name: reset_scheduler_cooldown
-- Runs that failed before this moment are forgotten, whether or not there is a cooldown: a tick may be
-- about to make one. Whether there was one is in the row as it was.
WITH was AS (
    SELECT p.until > clock_timestamp() AS is_paused
    FROM batch_assets.schedule_cooldown AS p
), is_reset AS (
    INSERT INTO batch_assets.schedule_cooldown AS p (reset_at, reset_by, changed_at)
    VALUES (clock_timestamp(), :reset_by, clock_timestamp())
    ON CONFLICT (only_row) DO UPDATE
    SET failed_runs = 0,
        until = NULL,
        reason = '',
        reset_at = excluded.reset_at,
        reset_by = excluded.reset_by,
        changed_at = excluded.changed_at
)
SELECT coalesce((SELECT was.is_paused FROM was), false)

-- name: models
SELECT m.model, m.until, m.reason
FROM batch_assets.model_cooldown AS m
WHERE m.account_name = :account_name AND m.until > clock_timestamp()
ORDER BY m.model

-- name: end_account_cooldown
-- The next one is as long as ever if it comes soon.
UPDATE batch_assets.account_cooldown AS p
SET until = clock_timestamp()
WHERE p.account_name = :account_name AND p.until > clock_timestamp()

-- name: is_account_cooling
SELECT EXISTS (
    SELECT
    FROM batch_assets.account_cooldown AS p
    WHERE p.account_name = :account_name AND p.until > clock_timestamp()
)
