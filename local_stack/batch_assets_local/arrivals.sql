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
