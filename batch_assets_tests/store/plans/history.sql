-- name: companies
INSERT INTO public."Company" (id, name, "csvUrl", "updatedAt")
SELECT 'c' || lpad(n::text, 3, '0'), 'Zorggroep ' || n, 'https://example.com', now()
FROM generate_series(0, 499) AS n

-- name: history_of_sessions
INSERT INTO public."Session" (id, "companyId", "startTime", "endTime", "updatedAt")
SELECT
    'hs' || lpad(n::text, 7, '0'),
    'c' || lpad((n % 500)::text, 3, '0'),
    now() - interval '400 days',
    now() - interval '400 days',
    now()
FROM generate_series(0, 199999) AS n

-- name: live_path
-- As LiveDash's older, live way left them: nine of ten with an answer, and none with a status.
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt", "completedAt")
SELECT
    'hr' || lpad((n::bigint * 7919 % 1000003)::text, 7, '0'), 'hs' || lpad((n / 5)::text, 7, '0'),
    CASE WHEN n % 10 = 0 THEN 'unknown' ELSE 'gpt-4o' END, 1000, 100, 1100, 0.001, 0.001, 0.002,
    'session_analysis', n % 10 > 0, now() - interval '400 days' + n * interval '30 s', now()
FROM generate_series(0, 999999) AS n
