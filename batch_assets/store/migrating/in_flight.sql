-- name: knows_followers
-- Earlier revisions have left what they had in flight to LiveDash, in its own words.
SELECT to_regclass('batch_assets.follower') IS NOT NULL

-- name: under_way
-- What nobody would end without our tables; LiveDash's own batches go on without them.
SELECT
    (
        SELECT count(*)
        FROM batch_assets.batch AS b
        WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
            AND b.installation_id IS NOT NULL
    )
    + (
        SELECT count(*)
        FROM public."AIBatchRequest" AS f
        WHERE
        -- here: is_half_made
    ) AS batches,
    (SELECT count(*) FROM batch_assets.retry AS f) AS put_off,
    (SELECT count(*) FROM batch_assets.follower AS w) AS following
