-- name: companies
INSERT INTO public."Company" (id, name, status, "csvUrl", "updatedAt")
SELECT 'c' || n - 1, 'Zorggroep Oost', CAST(status AS public."CompanyStatus"),
    'https://example.com/sessions.csv', :long_ago
FROM unnest(CAST(:statuses AS text[])) WITH ORDINALITY AS g (status, n)

-- name: sessions
INSERT INTO public."Session" (id, "companyId", "startTime", "endTime", "createdAt", "updatedAt")
SELECT 's' || g.n - 1, 'c' || g.company, :long_ago, :long_ago, :long_ago, :long_ago
FROM unnest(CAST(:companies AS integer[])) WITH ORDINALITY AS g (company, n)

-- name: messages
INSERT INTO public."Message" (id, "sessionId", role, content, "order", "createdAt")
SELECT 'm' || g.n - 1 || '-' || position, 's' || g.n - 1, 'user', repeat('x', 300 * position),
    position, :long_ago
FROM unnest(CAST(:messages AS integer[])) WITH ORDINALITY AS g (messages, n)
CROSS JOIN generate_series(1, g.messages) AS position

-- name: requests
-- Two to a session at times, of the same date at times, and of every status.
INSERT INTO public."AIProcessingRequest"
    (id, "sessionId", model, "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", success,
    "requestedAt", "processingStatus")
SELECT 'r' || g.n - 1, 's' || (g.n - 1) / 2 * 2, model, 0, 0, 0, 0, 0, 0, kind, false,
    CAST(:long_ago AS timestamptz) + age * interval '1 hour',
    CAST(status AS public."AIRequestStatus")
FROM unnest(
    CAST(:models AS text[]), CAST(:kinds AS text[]), CAST(:ages AS integer[]),
    CAST(:request_statuses AS text[])
) WITH ORDINALITY AS g (model, kind, age, status, n)

-- name: changed
UPDATE public."AIProcessingRequest" SET "processingStatus" = 'PROCESSING_COMPLETE'
WHERE id = ANY(CAST(:changed AS text[]))

-- name: remodelled
UPDATE public."AIProcessingRequest" SET model = 'gpt-4.1'
WHERE id = ANY(CAST(:remodelled AS text[]))

-- name: reset
UPDATE public."AIProcessingRequest" SET "processingStatus" = 'PENDING_BATCHING'
WHERE id = ANY(CAST(:reset AS text[])) AND "batchId" IS NULL

-- name: suspended
UPDATE public."Company" SET status = 'SUSPENDED' WHERE id = :suspended
