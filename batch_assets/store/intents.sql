-- name: known
-- What was given up keeps its ids: what it brings, should it turn up again, is booked as it is read.
SELECT b.id, b.state, b.openai_batch_id, b.input_file_id
FROM batch_assets.batch AS b
WHERE b.id = ANY(CAST(:batch_ids AS text[])) AND b.installation_id IS NOT NULL

-- name: record_duplicates
-- What a second batch would have cost is what the first was estimated at: they are of one file.
INSERT INTO batch_assets.duplicate_batch
    (openai_batch_id, batch_id, estimated_cost_eur, cancelled_at)
SELECT
    g.openai_batch_id, b.id, b.estimated_cost_eur,
    CASE WHEN g.is_cancelled THEN clock_timestamp() END
FROM unnest(
    CAST(:openai_batch_ids AS text[]), CAST(:batch_ids AS text[]), CAST(:are_cancelled AS boolean[])
) AS g (openai_batch_id, batch_id, is_cancelled)
JOIN batch_assets.batch AS b ON b.id = g.batch_id
ON CONFLICT (openai_batch_id) DO UPDATE
SET cancelled_at = coalesce(duplicate_batch.cancelled_at, excluded.cancelled_at)
