-- name: count_failure
-- One failure more. The row comes with the first one in a row; with as many as it takes the breaker
-- opens, and a failed trial opens it for twice as long as before. While it is open nothing is
-- counted: those calls were begun before. A trial is known by the moment at which it began.
INSERT INTO batch_assets.breaker AS k
    (operation, state, failures, code, reason, retry_at, changed_at)
VALUES (
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
ON CONFLICT (operation) DO UPDATE
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
WHERE k.operation = :operation
    AND (k.state = 'closed' OR (k.state = 'half_open' AND k.changed_at = :trial))

-- name: begin_trial
-- Of several runs one gets the trial. A run that was killed in its trial holds the others up only
-- until `retry_at`.
UPDATE batch_assets.breaker AS k
SET state = 'half_open',
    retry_at = clock_timestamp() + make_interval(secs => :seconds),
    changed_at = clock_timestamp()
WHERE k.operation = :operation
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
ORDER BY k.operation

-- name: reset
DELETE FROM batch_assets.breaker AS k
WHERE k.operation = ANY(:operations)
RETURNING k.operation, k.state
