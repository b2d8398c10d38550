-- name: claim
WITH due AS (
    SELECT r."id"
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = 'PENDING_BATCHING' AND r."batchId" IS NULL
    ORDER BY r."requestedAt"
    FOR UPDATE SKIP LOCKED
)
UPDATE public."AIProcessingRequest" AS r
SET "processingStatus" = 'BATCHING_IN_PROGRESS'
FROM due
WHERE r."id" = due."id"

-- name: read
SELECT r."id", m."role", m."content"
FROM public."AIProcessingRequest" AS r
JOIN public."Message" AS m ON m."sessionId" = r."sessionId"
WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
ORDER BY r."id", m."order"

-- name: make_staging
CREATE TEMPORARY TABLE staging (
    request_id        text,
    openai_request_id text,
    prompt_tokens     integer,
    completion_tokens integer,
    language          text,
    sentiment         public."SentimentCategory",
    category          public."SessionCategory",
    escalated         boolean,
    forwarded_hr      boolean,
    summary           text
) ON COMMIT DROP

-- name: copy
COPY staging FROM STDIN

-- name: write_requests
UPDATE public."AIProcessingRequest" AS r
SET "openaiRequestId" = s.openai_request_id,
    "promptTokens" = s.prompt_tokens,
    "completionTokens" = s.completion_tokens,
    "totalTokens" = s.prompt_tokens + s.completion_tokens,
    "success" = true,
    "completedAt" = CURRENT_TIMESTAMP,
    "processingStatus" = 'PROCESSING_COMPLETE'
FROM staging AS s
WHERE r."id" = s.request_id

-- name: write_sessions
UPDATE public."Session" AS c
SET "language" = s.language,
    "sentiment" = s.sentiment,
    "category" = s.category,
    "escalated" = s.escalated,
    "forwardedHr" = s.forwarded_hr,
    "summary" = s.summary,
    "updatedAt" = CURRENT_TIMESTAMP
FROM staging AS s
JOIN public."AIProcessingRequest" AS r ON r."id" = s.request_id
WHERE c."id" = r."sessionId"

-- name: make_findings
CREATE TEMPORARY TABLE findings (request_id text, language text, category text, questions text[])
ON COMMIT DROP

-- name: copy_findings
COPY findings FROM STDIN

-- name: write_batches
-- One of each company, as each is sent.
INSERT INTO public."AIBatchRequest"
    ("id", "companyId", "openaiBatchId", "inputFileId", "status", "processedAt")
SELECT c."id", c."id", 'batch_' || c."id", 'file-' || c."id", 'PROCESSED', CURRENT_TIMESTAMP
FROM public."Company" AS c

-- name: write_stages
INSERT INTO public."SessionProcessingStatus"
    ("id", "sessionId", "stage", "status", "startedAt", "completedAt", "metadata")
SELECT
    gen_random_uuid()::text, r."sessionId", s.stage, 'COMPLETED', CURRENT_TIMESTAMP,
    CURRENT_TIMESTAMP, s.metadata
FROM findings AS f
JOIN public."AIProcessingRequest" AS r ON r."id" = f.request_id
CROSS JOIN LATERAL (
    VALUES
        (
            CAST('AI_ANALYSIS' AS public."ProcessingStage"),
            jsonb_build_object('language', f.language, 'category', f.category)
        ),
        ('QUESTION_EXTRACTION', jsonb_build_object('questionsCount', cardinality(f.questions)))
) AS s (stage, metadata)

-- name: write_questions
INSERT INTO public."Question" ("id", "content")
SELECT gen_random_uuid()::text, q.content
FROM (SELECT DISTINCT unnest(f.questions) AS content FROM findings AS f) AS q
ON CONFLICT ("content") DO NOTHING

-- name: link_questions
INSERT INTO public."SessionQuestion" ("id", "sessionId", "questionId", "order")
SELECT gen_random_uuid()::text, r."sessionId", k."id", q.position - 1
FROM findings AS f
JOIN public."AIProcessingRequest" AS r ON r."id" = f.request_id
CROSS JOIN LATERAL unnest(f.questions) WITH ORDINALITY AS q (content, position)
JOIN public."Question" AS k ON k."content" = q.content
