-- name: know_own_name
-- A clone of a template would otherwise take itself for a copy of an installation, and be right.
UPDATE batch_assets.installation SET database_name = current_database()

-- name: companies
INSERT INTO public."Company" ("id", "name", "csvUrl", "updatedAt")
SELECT
    CAST(md5(:seed || ' company ' || n) AS uuid),
    'Company ' || n,
    'https://example.com/sessions.csv',
    CURRENT_TIMESTAMP
FROM generate_series(0, CAST(:companies AS integer) - 1) AS n

-- name: model
INSERT INTO public."AIModel" ("id", "name", "provider", "updatedAt")
VALUES ('the-model', :model, 'openai', CURRENT_TIMESTAMP)

-- name: price
INSERT INTO public."AIModelPricing"
    ("id", "aiModelId", "promptTokenCost", "completionTokenCost", "effectiveFrom")
VALUES ('the-price', 'the-model', 0.15e-6, 0.60e-6, CURRENT_TIMESTAMP - interval '1 year')

-- name: sessions
-- One wave: of each company in turn. They were talked about an hour ago, and are asked for now.
INSERT INTO public."Session" (
    "id", "companyId", "startTime", "endTime", "country", "avgResponseTime", "initialMsg",
    "messagesSent", "createdAt", "updatedAt"
)
SELECT
    CAST(md5(:seed || ' session ' || :wave || ' ' || n) AS uuid),
    CAST(md5(:seed || ' company ' || n % :companies) AS uuid),
    CURRENT_TIMESTAMP - interval '3 hours',
    CURRENT_TIMESTAMP - interval '2 hours',
    'NL',
    1.5,
    'Hello',
    CAST(:messages AS integer),
    CURRENT_TIMESTAMP - interval '2 hours',
    CURRENT_TIMESTAMP - interval '2 hours'
FROM generate_series(0, CAST(:rows AS integer) - 1) AS n

-- name: messages
-- What is said follows from the row's number alone: about 90 bytes, the user and the bot in turn. The
-- messages of a session lie together, since LiveDash's importers write them together.
INSERT INTO public."Message" ("id", "sessionId", "timestamp", "role", "content", "order")
SELECT
    CAST(md5(:seed || ' message ' || :wave || ' ' || n || ' ' || m) AS uuid),
    CAST(md5(:seed || ' session ' || :wave || ' ' || n) AS uuid),
    CURRENT_TIMESTAMP - interval '3 hours' + m * interval '20 seconds',
    CASE m % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
    replace(
        CASE m % 2
            WHEN 0 THEN (CAST(:questions AS text[]))[1 + (n * 7 + m) % :phrases]
            ELSE (CAST(:answers AS text[]))[1 + (n * 7 + m) % :phrases]
        END,
        '{}',
        CAST(1 + (n * 31 + m) % 52 AS text)
    ),
    m
FROM generate_series(0, CAST(:rows AS integer) - 1) AS n
CROSS JOIN generate_series(0, CAST(:messages AS integer) - 1) AS m
ORDER BY n, m

-- name: requests
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
    "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
    "requestedAt"
)
SELECT
    CAST(md5(:seed || ' request ' || :wave || ' ' || n) AS uuid),
    CAST(md5(:seed || ' session ' || :wave || ' ' || n) AS uuid),
    :model, 0, 0, 0, 0, 0, 0, 'full_analysis', false,
    CURRENT_TIMESTAMP - (:rows - n) * interval '1 microsecond'
FROM generate_series(0, CAST(:rows AS integer) - 1) AS n

-- name: history_batches
-- Settled over the last ninety days but one, each batch of one company.
INSERT INTO public."AIBatchRequest" (
    "id", "companyId", "openaiBatchId", "inputFileId", "outputFileId", "status",
    "createdAt", "completedAt", "processedAt"
)
SELECT
    CAST(md5(:seed || ' batch ' || n) AS uuid),
    CAST(md5(:seed || ' company ' || n % :companies) AS uuid),
    'batch_' || md5(:seed || ' batch ' || n),
    'file-in-' || n,
    'file-out-' || n,
    'PROCESSED',
    moment,
    moment + interval '1 hour',
    moment + interval '2 hours'
FROM generate_series(0, CAST(:batches AS integer) - 1) AS n
CROSS JOIN LATERAL (
    SELECT CURRENT_TIMESTAMP - interval '90 days' + n * interval '88 days' / :batches AS moment
)

-- name: history_own_batches
INSERT INTO batch_assets.batch (
    id, installation_id, company_id, model, state, run_id, fence, requests, estimated_tokens,
    estimated_cost_eur, input_bytes, input_file_id, openai_batch_id, output_file_id,
    server_status, server_status_since, server_answered, completed, prompt_tokens,
    completion_tokens, cost_eur, synchronous_cost_eur, claimed_at, uploaded_at, submitted_at, ended_at,
    finalized_at, files_deleted_at
)
SELECT
    l."id", i.id, l."companyId", :model, 'finalized', 'history', 2, :batch_size, 24000,
    0.003, 120000, l."inputFileId", l."openaiBatchId", l."outputFileId",
    'completed', l."completedAt", :batch_size, :batch_size, 24000,
    6000, 0.003, 0.006, l."createdAt", l."createdAt", l."createdAt", l."completedAt",
    l."processedAt", l."processedAt"
FROM public."AIBatchRequest" AS l
CROSS JOIN batch_assets.installation AS i

-- name: history_sessions
INSERT INTO public."Session" (
    "id", "companyId", "startTime", "endTime", "country", "avgResponseTime", "initialMsg",
    "messagesSent", "language", "sentiment", "escalated", "forwardedHr", "category", "summary",
    "createdAt", "updatedAt"
)
SELECT
    CAST(md5(:seed || ' past session ' || n) AS uuid),
    l."companyId",
    l."createdAt" - interval '1 hour',
    l."createdAt" - interval '30 minutes',
    'NL',
    1.5,
    'Hello',
    12,
    'en',
    CAST((CAST(:sentiments AS text[]))[1 + n % 3] AS public."SentimentCategory"),
    n % 9 = 0,
    n % 5 = 0,
    CAST((CAST(:categories AS text[]))[1 + n % :kinds] AS public."SessionCategory"),
    'The employee asked about the leave of week ' || n % 52 || ' and was told how to ask for it.',
    l."createdAt",
    l."processedAt"
FROM generate_series(0, CAST(:history AS integer) - 1) AS n
JOIN public."AIBatchRequest" AS l
    ON l."id" = CAST(CAST(md5(:seed || ' batch ' || n / :batch_size) AS uuid) AS text)

-- name: history_requests
INSERT INTO public."AIProcessingRequest" (
    "id", "sessionId", "openaiRequestId", "model", "promptTokens", "completionTokens",
    "totalTokens", "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType",
    "success", "requestedAt", "completedAt", "processingStatus", "batchId"
)
SELECT
    CAST(md5(:seed || ' past request ' || n) AS uuid),
    CAST(md5(:seed || ' past session ' || n) AS uuid),
    'chatcmpl-' || n,
    :model, 600, 150, 750, 0.00004, 0.00003, 0.00007, 'full_analysis',
    true,
    l."createdAt" - interval '20 minutes',
    l."processedAt",
    'PROCESSING_COMPLETE',
    l."id"
FROM generate_series(0, CAST(:history AS integer) - 1) AS n
JOIN public."AIBatchRequest" AS l
    ON l."id" = CAST(CAST(md5(:seed || ' batch ' || n / :batch_size) AS uuid) AS text)

-- name: history_attempts
INSERT INTO batch_assets.attempt (
    batch_id, request_id, company_id, outcome, counted, cost_eur, synchronous_cost_eur, ended_at
)
SELECT r."batchId", r."id", b.company_id, 'completed', true, 0.00007, 0.00014, r."completedAt"
FROM public."AIProcessingRequest" AS r
JOIN batch_assets.batch AS b ON b.id = r."batchId"
