-- name: indexes
-- Of the tables that become large, without those that a constraint owns.
SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_get_indexdef(c.oid) AS definition
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = ANY(CAST(:tables AS regclass[]))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid)

-- name: companies
INSERT INTO public."Company" (id, name, status, "csvUrl", "updatedAt")
SELECT
    CASE n WHEN 500 THEN 'suspended' ELSE 'c' || lpad(n::text, 3, '0') END,
    'Zorggroep ' || n,
    CAST(CASE n WHEN 500 THEN 'SUSPENDED' ELSE 'ACTIVE' END AS public."CompanyStatus"),
    'https://example.com',
    now()
FROM generate_series(0, 500) AS n

-- name: history_of_sessions
INSERT INTO public."Session" (id, "companyId", "startTime", "endTime", "updatedAt")
SELECT
    'hs' || lpad(n::text, 7, '0'),
    'c' || lpad((n / 400)::text, 3, '0'),
    now() - interval '40 days',
    now() - interval '40 days',
    now()
FROM generate_series(0, 199999) AS n

-- name: history_of_livedash_batches
INSERT INTO public."AIBatchRequest"
    (id, "companyId", "openaiBatchId", "inputFileId", status, "createdAt", "processedAt")
SELECT
    'hb' || lpad(n::text, 5, '0'), 'c' || lpad((n % 500)::text, 3, '0'),
    'batch_h' || n, 'file-h' || n, 'PROCESSED', now() - interval '30 days' + n * interval '4 min',
    now()
FROM generate_series(0, 9999) AS n

-- name: history_of_batches
-- Of days whose sums are kept.
INSERT INTO batch_assets.batch
    (id, installation_id, company_id, model, state, requests, openai_batch_id, input_file_id,
    server_status, server_status_since, claimed_at, submitted_at, ended_at, finalized_at,
    files_deleted_at, is_kept)
SELECT
    l.id, i.id, l."companyId", 'gpt-4o-mini', 'finalized', 100, l."openaiBatchId", l."inputFileId",
    'completed', l."createdAt", l."createdAt", l."createdAt", l."createdAt", l."createdAt",
    l."createdAt", true
FROM public."AIBatchRequest" AS l
CROSS JOIN batch_assets.installation AS i

-- name: history_of_attempts
-- Of the last fifth only, to save time.
INSERT INTO batch_assets.attempt
    (batch_id, request_id, company_id, outcome, counted, cost_eur, ended_at)
SELECT
    'hb' || lpad((n / 100)::text, 5, '0'), 'hr' || lpad(n::text, 7, '0'),
    'c' || lpad((n / 2000)::text, 3, '0'), 'completed', true, 0.001, now()
FROM generate_series(800000, 999999) AS n

-- name: history_of_requests
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt", "completedAt", "processingStatus", "batchId")
SELECT
    'hr' || lpad(n::text, 7, '0'), 'hs' || lpad((n / 5)::text, 7, '0'),
    'gpt-4o-mini', 1000, 100, 1100, 0.001, 0.001, 0.002, 'full_analysis', true,
    now() - interval '30 days' + n * interval '2 s', now(), 'PROCESSING_COMPLETE',
    'hb' || lpad((n / 100)::text, 5, '0')
FROM generate_series(0, 999999) AS n

-- name: statuses_of_sessions
INSERT INTO public."SessionProcessingStatus" (id, "sessionId", stage, status)
SELECT s.id, s.id, 'AI_ANALYSIS', 'COMPLETED'
FROM public."Session" AS s

-- name: history_of_dead_letters
-- Of requests whose sessions are deleted by now.
INSERT INTO batch_assets.dead_letter
    (request_id, company_id, attempts, failure_kind, code, reason, dead_at)
SELECT
    'dr' || lpad(n::text, 7, '0'), 'c' || lpad((n % 500)::text, 3, '0'), 1, 'permanent',
    'session_deleted', 'The session was deleted.',
    now() - interval '2 days' - n * interval '1 s'
FROM generate_series(0, 19999) AS n

-- name: waiting_sessions
-- Of the suspended company and of the others, five requests of different types to a session.
INSERT INTO public."Session" (id, "companyId", "startTime", "endTime", "updatedAt")
SELECT 'ss' || lpad(n::text, 7, '0'), 'suspended', now(), now(), now()
FROM generate_series(0, 19999) AS n
UNION ALL
SELECT
    'ws' || lpad(n::text, 7, '0'), 'c' || lpad((n / 120)::text, 3, '0'), now(), now(), now()
FROM generate_series(0, 59999) AS n

-- name: messages
INSERT INTO public."Message" (id, "sessionId", role, content, "order")
SELECT
    'm' || s.id || '-' || n, s.id, 'user', 'Wie beslist dat?', n
FROM public."Session" AS s
CROSS JOIN generate_series(0, 1) AS n
WHERE s.id LIKE 'ws%' OR s.id LIKE 'ss%'

-- name: waiting_at_the_head
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt")
SELECT
    'sr' || lpad(n::text, 7, '0'), 'ss' || lpad((n / 5)::text, 7, '0'),
    'gpt-4o-mini', 0, 0, 0, 0, 0, 0,
    (ARRAY['full_analysis', 'session_analysis', 'sentiment_analysis', 'categorization', 'summary'])
        [n % 5 + 1],
    false,
    now() - interval '20 days' + n * interval '1 s'
FROM generate_series(0, 99999) AS n

-- name: backlog
-- In the order of their dates the companies take turns.
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt")
SELECT
    'wr' || lpad(n::text, 7, '0'),
    'ws' || lpad((n % 500 * 120 + n / 2500)::text, 7, '0'),
    'gpt-4o-mini', 0, 0, 0, 0, 0, 0,
    (ARRAY['full_analysis', 'session_analysis', 'sentiment_analysis', 'categorization', 'summary'])
        [n / 500 % 5 + 1],
    false,
    now() - interval '2 days' + n * interval '0.5 s'
FROM generate_series(0, 299999) AS n
