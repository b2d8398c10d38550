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
WHERE m.until > clock_timestamp()
ORDER BY m.model

-- name: end_account_cooldown
-- The next one is as long as ever if it comes soon.
UPDATE batch_assets.account_cooldown AS p
SET until = clock_timestamp()
WHERE p.until > clock_timestamp()

-- name: is_account_cooling
SELECT EXISTS (
    SELECT FROM batch_assets.account_cooldown AS p WHERE p.until > clock_timestamp()
)
