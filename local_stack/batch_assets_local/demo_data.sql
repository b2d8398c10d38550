-- name: one_at_a_time
-- Until the end of the transaction no other demo looks whether it is to bring conversations in.
SELECT pg_advisory_xact_lock(hashtextextended('batch_assets demo', 0))

-- name: open_conversations
-- Open is what is neither complete nor failed for good. A suspended company's requests only wait.
SELECT count(DISTINCT s.id)
FROM public."AIProcessingRequest" AS r
JOIN public."Session" AS s ON s.id = r."sessionId"
JOIN public."Company" AS c ON c.id = s."companyId"
WHERE c.status = 'ACTIVE'
    AND r."processingStatus" IN ('PENDING_BATCHING', 'BATCHING_IN_PROGRESS')

-- name: expire_leases
-- Nobody renews them any more, and a lease lasts a quarter of an hour.
UPDATE batch_assets.batch
SET lease_expires_at = clock_timestamp()
WHERE state IN ('claimed', 'uploaded', 'submitted', 'ended')
    AND lease_expires_at > clock_timestamp()

-- name: hasten_retries
UPDATE batch_assets.retry
SET retry_at = clock_timestamp()
WHERE retry_at > clock_timestamp()

-- name: examples
-- Of each language the one that was finished last, of those about work if there are any; ids break
-- the tie, since a batch is written at once.
SELECT e.company, e.language, e.category, e.sentiment, e.escalated, e.forwarded_hr, e.questions,
    e.summary
FROM (
    SELECT DISTINCT ON (s.language)
        c.name AS company,
        s.language,
        s.category::text AS category,
        s.sentiment::text AS sentiment,
        s.escalated,
        s."forwardedHr" AS forwarded_hr,
        (
            SELECT count(*)
            FROM public."SessionQuestion" AS q
            WHERE q."sessionId" = s.id
        ) AS questions,
        s.summary,
        r."completedAt"
    FROM public."AIProcessingRequest" AS r
    JOIN public."Session" AS s ON s.id = r."sessionId"
    JOIN public."Company" AS c ON c.id = s."companyId"
    WHERE r."processingStatus" = 'PROCESSING_COMPLETE'
        AND r."processingType" IN ('session_analysis', 'full_analysis')
        AND s.language IS NOT NULL
    ORDER BY
        s.language,
        s.category IN ('SOCIAL_QUESTIONS', 'UNRECOGNIZED_OTHER'),
        r."completedAt" DESC,
        s.id
) AS e
ORDER BY e."completedAt" DESC, e.language
LIMIT :limit

-- name: failures
SELECT c.name AS company, d.reason, count(*) AS requests
FROM batch_assets.dead_letter AS d
JOIN public."Company" AS c ON c.id = d.company_id
GROUP BY c.name, d.reason
ORDER BY requests DESC, c.name, d.reason
