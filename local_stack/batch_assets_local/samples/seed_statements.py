"""The SQL that writes samples: one statement a table, each row an element of parallel arrays.

Rows that are there already stay as they are, so that writing again adds nothing.
"""

from typing import Final, LiteralString

COMPANIES: Final[LiteralString] = """
    INSERT INTO public."Company" ("id", "name", "status", "csvUrl", "createdAt", "updatedAt")
    SELECT id, name, CAST(status AS public."CompanyStatus"), csv_url, written, written
    FROM unnest(
        CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS text[]),
        CAST(%s AS timestamptz[])
    ) AS rows (id, name, status, csv_url, written)
    ON CONFLICT DO NOTHING
"""

# What the import fills in is filled in; what an analysis sets stays empty.
SESSIONS: Final[LiteralString] = """
    INSERT INTO public."Session" (
        "id", "companyId", "startTime", "endTime", "ipAddress", "country", "avgResponseTime",
        "initialMsg", "fullTranscriptUrl", "createdAt", "updatedAt"
    )
    SELECT id, company_id, started, ended, CAST(ip AS inet), country, response_seconds,
        first_message, transcript, imported, imported
    FROM unnest(
        CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS timestamptz[]),
        CAST(%s AS timestamptz[]), CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS real[]),
        CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS timestamptz[])
    ) AS rows (
        id, company_id, started, ended, ip, country, response_seconds, first_message, transcript,
        imported
    )
    ON CONFLICT DO NOTHING
"""

MESSAGES: Final[LiteralString] = """
    INSERT INTO public."Message" (
        "id", "sessionId", "timestamp", "role", "content", "order", "createdAt"
    )
    SELECT id, session_id, said, role, content, position, imported
    FROM unnest(
        CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS timestamptz[]), CAST(%s AS text[]),
        CAST(%s AS text[]), CAST(%s AS integer[]), CAST(%s AS timestamptz[])
    ) AS rows (id, session_id, said, role, content, position, imported)
    ON CONFLICT DO NOTHING
"""

# All five, as they are when the processing timer has made its request. The import completes
# CSV_IMPORT without having started it.
STAGES: Final[LiteralString] = """
    INSERT INTO public."SessionProcessingStatus" (
        "id", "sessionId", "stage", "status", "startedAt", "completedAt", "metadata"
    )
    SELECT rows.session_id || ':' || stages.stage, rows.session_id,
        CAST(stages.stage AS public."ProcessingStage"),
        CAST(stages.status AS public."ProcessingStatus"),
        stages.started, stages.completed, stages.metadata
    FROM unnest(
        CAST(%s AS text[]), CAST(%s AS timestamptz[]), CAST(%s AS timestamptz[]),
        CAST(%s AS integer[]), CAST(%s AS text[])
    ) AS rows (session_id, imported, requested, characters, transcript)
    CROSS JOIN LATERAL (
        VALUES
            ('CSV_IMPORT', 'COMPLETED', NULL, imported, NULL),
            ('TRANSCRIPT_FETCH', 'COMPLETED', imported, imported,
                jsonb_build_object('contentLength', characters, 'url', transcript)),
            ('SESSION_CREATION', 'COMPLETED', imported, imported,
                jsonb_build_object(
                    'hasTranscript', characters > 0, 'transcriptLength', characters
                )),
            ('AI_ANALYSIS', 'IN_PROGRESS', requested, NULL, NULL),
            ('QUESTION_EXTRACTION', 'PENDING', NULL, NULL, NULL)
    ) AS stages (stage, status, started, completed, metadata)
    ON CONFLICT DO NOTHING
"""

REQUESTS: Final[LiteralString] = """
    INSERT INTO public."AIProcessingRequest" (
        "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
        "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
        "requestedAt", "processingStatus"
    )
    SELECT id, session_id, model, 0, 0, 0, 0, 0, 0, processing_type, false, requested,
        'PENDING_BATCHING'
    FROM unnest(
        CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS text[]),
        CAST(%s AS timestamptz[])
    ) AS rows (id, session_id, model, processing_type, requested)
    ON CONFLICT DO NOTHING
"""

MODELS: Final[LiteralString] = """
    INSERT INTO public."AIModel" ("id", "name", "provider", "maxTokens", "createdAt", "updatedAt")
    SELECT id, name, 'openai', max_tokens, written, written
    FROM unnest(
        CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS integer[]), CAST(%s AS timestamptz[])
    ) AS rows (id, name, max_tokens, written)
    ON CONFLICT DO NOTHING
"""

# A model of that name that is there already keeps the prices that it has, or has not.
PRICES: Final[LiteralString] = """
    INSERT INTO public."AIModelPricing" (
        "id", "aiModelId", "promptTokenCost", "completionTokenCost", "effectiveFrom"
    )
    SELECT rows.id, model."id", prompt, completion, since
    FROM unnest(
        CAST(%s AS text[]), CAST(%s AS text[]), CAST(%s AS real[]), CAST(%s AS real[]),
        CAST(%s AS timestamptz[])
    ) AS rows (id, model_id, prompt, completion, since)
    JOIN public."AIModel" AS model ON model."id" = rows.model_id
    ON CONFLICT DO NOTHING
"""
