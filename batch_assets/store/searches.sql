-- name: open
-- How far the lists were read, and the accounts of which the server has batches that have not ended:
-- for long enough that no list lags so far behind.
SELECT
    clock_timestamp() AS opened_at,
    s.account, s.began_at, s.reading, s.after, s.lists_files, s.files, s.batches,
    s.shown_batches, s.shown_files, s.anchored_at,
    (
        SELECT coalesce(array_agg(DISTINCT coalesce(b.account, '')), '{}')
        FROM batch_assets.batch AS b
        WHERE b.state = 'submitted'
            AND b.installation_id = i.id
            AND b.submitted_at < clock_timestamp() - interval '15 minutes'
    ) AS running_accounts
FROM batch_assets.installation AS i
LEFT JOIN batch_assets.search AS s ON true

-- name: keep
INSERT INTO batch_assets.search
    (account, began_at, reading, after, lists_files, files, batches, shown_batches, shown_files,
    anchored_at)
VALUES
    (:account, :began_at, :reading, :after, :lists_files, CAST(:files AS jsonb),
    CAST(:batches AS jsonb), CAST(:shown_batches AS text[]), CAST(:shown_files AS text[]),
    :anchored_at)
ON CONFLICT (only_row) DO UPDATE
SET account = excluded.account,
    began_at = excluded.began_at,
    reading = excluded.reading,
    after = excluded.after,
    lists_files = excluded.lists_files,
    files = excluded.files,
    batches = excluded.batches,
    shown_batches = excluded.shown_batches,
    shown_files = excluded.shown_files,
    anchored_at = excluded.anchored_at
