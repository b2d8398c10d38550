-- name: companies
INSERT INTO public."Company" (id, name, "csvUrl", "updatedAt")
SELECT 'c' || lpad(n::text, 3, '0'), 'Zorggroep ' || n, 'https://example.com', now()
FROM generate_series(0, 499) AS n

-- name: sessions
-- Of the history and of what waits, five requests to a session.
INSERT INTO public."Session" (id, "companyId", "startTime", "endTime", "updatedAt")
SELECT 's' || lpad(n::text, 7, '0'), 'c' || lpad((n % 500)::text, 3, '0'), now(), now(), now()
FROM generate_series(0, 43999) AS n

-- name: history
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt", "completedAt", "processingStatus")
SELECT
    'hr' || lpad((n::bigint * 7919 % 200003)::text, 7, '0'), 's' || lpad((n / 5)::text, 7, '0'),
    'gpt-4o-mini', 1000, 100, 1100, 0.001, 0.001, 0.002, 'full_analysis', true,
    now() - interval '30 days' + n * interval '10 s', now(), 'PROCESSING_COMPLETE'
FROM generate_series(0, 199999) AS n

-- name: backlog
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt")
SELECT
    'wr' || lpad((n::bigint * 7919 % 20011)::text, 7, '0'),
    's' || lpad((40000 + n / 5)::text, 7, '0'), 'gpt-4o-mini', 0, 0, 0, 0, 0, 0,
    (ARRAY['full_analysis', 'session_analysis', 'sentiment_analysis', 'categorization', 'summary'])
        [n % 5 + 1],
    false, now() - interval '2 days' + n * interval '5 s'
FROM generate_series(0, 19999) AS n
