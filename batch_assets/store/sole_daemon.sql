-- What keeps a second daemon from one database: an advisory lock for as long as a transaction is open.

-- name: settle
-- The transaction idles for weeks. It holds no snapshot, so that it keeps no row from being vacuumed.
SELECT set_config(s.name, s.value, true)
FROM (
    VALUES
        ('application_name', CAST(:holder AS text)),
        ('idle_in_transaction_session_timeout', '0')
) AS s (name, value)

-- name: take
-- Of two who ask at once, one gets it; a transaction has it behind a pooler, too, unlike a session.
SELECT pg_try_advisory_xact_lock(hashtextextended('batch_assets.daemon', 0))

-- name: holder
-- How whoever has it calls itself; the name is the one thing that every role may see of a session.
SELECT a.application_name
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory'
    AND l.granted
    AND l.objsubid = 1
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
    AND (CAST(l.classid AS bigint) << 32) | CAST(l.objid AS bigint)
        = hashtextextended('batch_assets.daemon', 0)
LIMIT 1

-- name: look
-- Whether the session that has it still lives.
SELECT 1
