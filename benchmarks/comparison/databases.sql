-- name: make_application
-- Not the role that seeds and measures, so that its statements can be told from theirs.
DO $$
BEGIN
    IF to_regrole('benchmark_application') IS NULL THEN
        CREATE ROLE benchmark_application LOGIN;
    END IF;
END
$$

-- name: count_statements
CREATE EXTENSION IF NOT EXISTS pg_stat_statements

-- name: make_template
CREATE DATABASE benchmark_template OWNER benchmark_application TEMPLATE template0

-- name: make_clone
-- A copy of the files, so that every clone begins with the same pages.
CREATE DATABASE benchmark_clone
    OWNER benchmark_application TEMPLATE benchmark_template STRATEGY file_copy

-- name: drop_template
DROP DATABASE IF EXISTS benchmark_template WITH (FORCE)

-- name: drop_clone
DROP DATABASE IF EXISTS benchmark_clone WITH (FORCE)

-- name: forget
SELECT pg_stat_statements_reset(to_regrole('benchmark_application')::oid)

-- name: counted
-- Of the application's role alone. Blocks of temporary tables count as those of others do.
SELECT
    coalesce(sum(s.calls), 0)::bigint AS statements,
    coalesce(sum(s.rows), 0)::bigint AS rows,
    coalesce(
        sum(s.shared_blks_hit + s.shared_blks_read + s.local_blks_hit + s.local_blks_read), 0
    )::bigint * current_setting('block_size')::bigint AS bytes,
    (SELECT i.dealloc FROM pg_stat_statements_info AS i) AS forgotten
FROM pg_stat_statements AS s
WHERE s.userid = to_regrole('benchmark_application')::oid

-- name: complete
SELECT count(*) FROM public."AIProcessingRequest" AS r
WHERE r."processingStatus" = 'PROCESSING_COMPLETE'

-- name: open_batches
SELECT b.state, count(*) AS batches, sum(b.requests) AS requests
FROM batch_assets.batch AS b
WHERE b.state NOT IN ('finalized', 'released')
GROUP BY b.state
ORDER BY b.state
