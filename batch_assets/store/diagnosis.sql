-- name: server
-- What the server and this session of it are like.
SELECT
    current_setting('server_version_num')::integer AS version,
    current_setting('TimeZone') AS time_zone,
    pg_is_in_recovery() AS is_standby,
    clock_timestamp() AS clock

-- name: models
-- The models that requests ask for which wait now; of those that no run has noticed yet the oldest.
SELECT DISTINCT w.model
FROM (
    SELECT i.model
    FROM batch_assets.intake AS i
    UNION ALL
    (
        SELECT r.model
        FROM public."AIProcessingRequest" AS r
        WHERE r."processingStatus" = 'PENDING_BATCHING'
        ORDER BY r."requestedAt"
        LIMIT 5000
    )
) AS w
WHERE w.model IS NOT NULL
ORDER BY w.model
