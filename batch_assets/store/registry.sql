-- part: incarnation
-- The database as one server runs it from its start on: a server that is started with a copy of the
-- files has another start, a database that was made anew another number, and a table that was put
-- back another file. Any role may ask for these, through any pooler and from any host alike.
(
    SELECT concat_ws(
        '/',
        d.oid,
        pg_catalog.pg_relation_filenode('batch_assets.installation'),
        extract(epoch FROM pg_catalog.pg_postmaster_start_time())
    )
    FROM pg_catalog.pg_database AS d
    WHERE d.datname = current_database()
)

-- part: tell_released
UPDATE public."AIBatchRequest" AS l
SET status = 'CANCELLED'
FROM moved
WHERE l.id = moved.id AND l.status IN ('PENDING', 'UPLOADING')

-- name: snapshot
-- Read at once: who we are, whether this is still that database, what LiveDash does beside us, and
-- for which stages there is anything to do. A batch that was handed over to LiveDash has no
-- installation, but the account that it was made with. LiveDash's are looked at company by company,
-- since its index on their status begins with the company; one that ended unseen is not counted, nor
-- one whose date lies far ahead: it would be a short while ago for ever.
SELECT
    -- here: livedash_lacks
    i.id,
    i.confirmed_at IS NOT NULL AS is_confirmed,
    i.database_name,
    i.database_name = current_database()
        AND i.system_identifier = (
            SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c
        ) AS is_at_home,
    (
        SELECT count(*)
        FROM (
            SELECT l.id
            FROM public."Company" AS c
            CROSS JOIN LATERAL (
                SELECT f.id
                FROM public."AIBatchRequest" AS f
                WHERE f."companyId" = c.id
                    AND f.status IN (
                        'PENDING', 'UPLOADING', 'VALIDATING', 'IN_PROGRESS', 'FINALIZING',
                        'COMPLETED'
                    )
                    AND f."createdAt" > CURRENT_TIMESTAMP - make_interval(secs => :quiet_seconds)
                    AND f."createdAt" < CURRENT_TIMESTAMP + interval '1 day'
                    AND NOT EXISTS (
                        SELECT
                        FROM batch_assets.batch AS b
                        WHERE b.id = f.id
                            AND coalesce(b.installation_id, b.account) IS NOT NULL
                    )
                OFFSET 0
            ) AS l
            UNION
            SELECT b.id
            FROM batch_assets.batch AS b
            WHERE b.claimed_at > CURRENT_TIMESTAMP - make_interval(secs => :quiet_seconds)
                AND b.installation_id IS NULL
                AND b.account IS NULL
        ) AS external_batch
    ) AS external_batches,
    (
        SELECT coalesce(json_object_agg(t.timer, t.acts), '{}')
        FROM (
            SELECT a.timer, count(*) AS acts
            FROM batch_assets.livedash_act AS a
            WHERE a.noticed_at > CURRENT_TIMESTAMP - make_interval(secs => :quiet_seconds)
            GROUP BY a.timer
        ) AS t
    ) AS livedash_acts,
    (
        SELECT json_build_object('until', p.until, 'reason', p.reason)
        FROM batch_assets.account_cooldown AS p
        WHERE p.account_name = :account_name AND p.until > clock_timestamp()
    ) AS account_cooldown,
    (
        SELECT count(*) FROM batch_assets.unknown_batch AS u WHERE u.acknowledged_at IS NULL
    ) AS unknown_batches,
-- here: incarnation
    AS incarnation,
    CASE WHEN :account_name = 'default' THEN i.incarnation ELSE k.incarnation END
        AS known_incarnation,
    greatest(
        CASE WHEN :account_name = 'default' THEN i.incarnation_at ELSE k.incarnation_at END,
        i.alone_since
    ) AS known_since,
    CASE WHEN :account_name = 'default' THEN i.doubt ELSE k.doubt END AS doubt,
    (
        SELECT json_build_object('began_at', d.began_at, 'began_by', d.began_by)
        FROM batch_assets.drain AS d
    ) AS drain,
    (
        SELECT b.claimed_at
        FROM batch_assets.batch AS b
        WHERE b.account_name = :account_name
            AND b.installation_id = i.id
            AND b.submitted_at IS NOT NULL
            AND b.kind = 'batch'
        ORDER BY b.claimed_at DESC
        LIMIT 1
    ) AS newest_at,
    :account_name = 'default' AND EXISTS (
        SELECT
        FROM public."Company" AS c
        CROSS JOIN LATERAL (
            SELECT
            FROM public."AIBatchRequest" AS f
            WHERE f."companyId" = c.id
                AND f.status IN ('VALIDATING', 'IN_PROGRESS', 'FINALIZING', 'COMPLETED')
                AND NOT EXISTS (SELECT FROM batch_assets.batch AS b WHERE b.id = f.id)
            LIMIT 1
        ) AS l
    ) AS has_unwatched,
    :account_name = 'default' AND (
        i.has_orphans
        OR EXISTS (
            SELECT
            FROM public."Company" AS c
            CROSS JOIN LATERAL (
                SELECT
                FROM public."AIBatchRequest" AS f
                WHERE f."companyId" = c.id
                    AND
                    -- here: is_half_made
                LIMIT 1
            ) AS l
        )
    ) AS has_orphans,
    EXISTS (
        SELECT
        FROM batch_assets.batch AS b
        WHERE b.state = 'submitted' AND b.account_name = :account_name
    ) AS has_in_flight,
    EXISTS (
        SELECT
        FROM batch_assets.batch AS b
        WHERE b.state = 'ended'
            AND b.account_name = :account_name
            AND (b.lease_expires_at IS NULL OR b.lease_expires_at < clock_timestamp())
            AND (b.poll_at IS NULL OR b.poll_at <= clock_timestamp())
    ) AS has_ended,
    EXISTS (
        SELECT
        FROM batch_assets.batch AS b
        WHERE b.state IN ('claimed', 'uploaded')
            AND b.account_name = :account_name
            AND b.file_pending_since IS NULL
            AND (b.lease_expires_at IS NULL OR b.lease_expires_at < clock_timestamp())
    ) AS has_unresolved,
    EXISTS (
        SELECT
        FROM batch_assets.search AS s
        WHERE s.account_name = :account_name AND s.anchored_at IS NOT NULL
    ) AS has_anchor,
    EXISTS (
        SELECT
        FROM batch_assets.batch AS b
        WHERE b.state = 'uploaded'
            AND b.account_name = :account_name
            AND b.file_pending_since IS NOT NULL
            AND (b.lease_expires_at IS NULL OR b.lease_expires_at < clock_timestamp())
    ) AS has_pending_files,
    EXISTS (
        SELECT
        FROM batch_assets.batch AS b
        WHERE b.state IN ('finalized', 'released')
            AND b.account_name = :account_name
            AND b.installation_id IS NOT NULL
            AND b.input_file_id IS NOT NULL
            AND b.files_deleted_at IS NULL
            -- here: is_read_by_all
    ) AS has_leftovers,
    EXISTS (
        SELECT FROM batch_assets.retry AS f WHERE f.retry_at <= statement_timestamp()
    ) AS has_due_retries,
    EXISTS (
        SELECT
        FROM batch_assets.abandoned_batch AS g
        JOIN batch_assets.batch AS b ON b.id = g.batch_id
        WHERE g.poll_at <= clock_timestamp() AND b.account_name = :account_name
    ) AS has_abandoned,
    EXISTS (
        SELECT
        FROM batch_assets.synchronous_request AS c
        WHERE
            -- here: account_of_company
            = :account_name
    ) AS has_synchronous_requests,
    EXISTS (SELECT FROM batch_assets.follower AS w) AS has_followers,
    EXISTS (
        SELECT
        FROM batch_assets.batch AS b
        WHERE b.state IN ('claimed', 'uploaded', 'submitted', 'ended')
    )
    OR EXISTS (SELECT FROM batch_assets.retry AS f)
    OR EXISTS (SELECT FROM batch_assets.dead_letter AS d)
    OR EXISTS (SELECT FROM batch_assets.follower AS w) AS has_any_to_lose,
    -- here: known_breakers
    AS breakers,
    (
        SELECT json_build_object(
            'mode', m.mode, 'chosen_by', m.chosen_by, 'chosen_at', m.chosen_at
        )
        FROM batch_assets.query_mode AS m
    ) AS stored_mode,
    CASE WHEN i.upload_bytes_until > clock_timestamp() THEN i.upload_bytes END AS upload_bytes,
    (SELECT coalesce(json_agg(to_json(u)), '[]') FROM batch_assets.learnt_usage AS u) AS learnt_usage
FROM batch_assets.installation AS i
LEFT JOIN batch_assets.account_look AS k ON k.account_name = :account_name

-- name: note_upload_bytes
-- For a day: the server's limit may have been raised since.
UPDATE batch_assets.installation AS i
SET upload_bytes = :bytes, upload_bytes_until = clock_timestamp() + interval '1 day'

-- name: confirm
UPDATE batch_assets.installation AS i
SET confirmed_at = clock_timestamp(), confirmed_by = :confirmed_by

-- name: make_home
-- A copy is another installation: what the original has under way is no longer ours to touch.
UPDATE batch_assets.installation AS i
SET id = CASE WHEN :as_copy THEN gen_random_uuid()::text ELSE i.id END,
    system_identifier = (
        SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c
    ),
    database_name = current_database(),
    alone_since = clock_timestamp(),
    incarnation =
-- here: incarnation
    , incarnation_at = NULL,
    doubt = NULL

-- name: forget_looks
-- What is said of the installation holds for all accounts.
UPDATE batch_assets.account_look AS k
SET incarnation = i.incarnation, incarnation_at = NULL, doubt = NULL
FROM batch_assets.installation AS i

-- name: know_incarnation
-- The default account's is kept with the installation.
WITH kept AS (
    INSERT INTO batch_assets.account_look AS k (account_name, incarnation, incarnation_at)
    SELECT CAST(:account_name AS text), CAST(:incarnation AS text), clock_timestamp()
    WHERE :account_name <> 'default'
    ON CONFLICT (account_name) DO UPDATE
    SET incarnation = excluded.incarnation, incarnation_at = excluded.incarnation_at, doubt = NULL
)
UPDATE batch_assets.installation AS i
SET incarnation = :incarnation, incarnation_at = clock_timestamp(), doubt = NULL
WHERE :account_name = 'default'

-- name: note_doubt
WITH kept AS (
    INSERT INTO batch_assets.account_look AS k (account_name, doubt)
    SELECT CAST(:account_name AS text), CAST(:doubt AS text)
    WHERE :account_name <> 'default'
    ON CONFLICT (account_name) DO UPDATE SET doubt = excluded.doubt
)
UPDATE batch_assets.installation AS i
SET doubt = :doubt
WHERE :account_name = 'default' AND i.doubt IS DISTINCT FROM :doubt

-- name: acknowledge_unknown
UPDATE batch_assets.unknown_batch AS u
SET acknowledged_at = clock_timestamp()
WHERE u.acknowledged_at IS NULL

-- name: sent_until
-- Until when a run may still be sending what is under way; the rows stay as they are until this
-- transaction ends.
SELECT max(held.lease_expires_at) AS sent_until
FROM (
    SELECT b.lease_expires_at
    FROM batch_assets.batch AS b
    WHERE b.state IN ('claimed', 'uploaded') AND b.lease_expires_at > clock_timestamp()
    ORDER BY b.id
    FOR UPDATE
) AS held

-- name: leave_unresolved_to_the_original
-- What the original has not submitted yet is the original's to submit: the copy's rows are its own
-- and wait again. What the original has submitted is read here as well, and never touched.
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET state = 'released',
        released_at = clock_timestamp(),
        files_deleted_at = clock_timestamp(),
        fence = b.fence + 1,
        lease_owner = NULL,
        lease_expires_at = NULL
    WHERE b.state IN ('claimed', 'uploaded')
    RETURNING b.id
), told AS (
    -- here: tell_released
)
SELECT moved.id FROM moved

-- name: give_up_unresolved
-- Nobody works on it. Should the server have it, its requests are bought twice: somebody has said so.
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET state = 'released',
        released_at = clock_timestamp(),
        fence = b.fence + 1,
        lease_owner = NULL,
        lease_expires_at = NULL
    WHERE b.id = :batch_id
        AND b.state IN ('claimed', 'uploaded')
        AND (b.lease_expires_at IS NULL OR b.lease_expires_at < clock_timestamp())
    RETURNING b.id
), told AS (
    -- here: tell_released
)
SELECT moved.id FROM moved

-- name: note_cancelled
UPDATE batch_assets.batch AS b
SET cancelled_at = clock_timestamp()
WHERE b.id = ANY(CAST(:batch_ids AS text[]))
    AND b.state = 'submitted'
    AND b.cancelled_at IS NULL

-- name: note_retrieved
UPDATE batch_assets.batch AS b
SET retrieved_at = clock_timestamp()
WHERE b.id = ANY(CAST(:batch_ids AS text[])) AND b.state = 'submitted'

-- name: abandon
-- Nothing of it is waited for: with no file and no line to come, ingestion lets its rows wait again.
-- Whoever may still have its lease, and has slept over it, finds another fence.
WITH moved AS (
    UPDATE batch_assets.batch AS b
    SET state = 'ended',
        ended_at = coalesce(b.ended_at, clock_timestamp()),
        server_status = :word,
        server_status_since = clock_timestamp(),
        server_errors = '{}',
        server_error_lines = '{}',
        server_answered = 0,
        server_prompt_tokens = NULL,
        server_cached_tokens = NULL,
        server_completion_tokens = NULL,
        output_file_id = NULL,
        error_file_id = NULL,
        incomplete_since = NULL,
        polls = 0,
        poll_at = NULL,
        output_bytes = NULL,
        error_bytes = NULL,
        fence = b.fence + 1,
        lease_owner = NULL,
        lease_expires_at = NULL
    WHERE b.id = :batch_id
        AND b.openai_batch_id = :openai_batch_id
        AND b.state = :state
        AND b.state IN ('submitted', 'ended')
        AND b.kind = 'batch'
        AND (b.lease_expires_at IS NULL OR b.lease_expires_at < clock_timestamp())
    RETURNING b.id
), told AS (
    UPDATE public."AIBatchRequest" AS l
    SET "outputFileId" = NULL, "errorFileId" = NULL
    FROM moved
    WHERE l.id = moved.id AND l.status NOT IN ('PROCESSED', 'FAILED', 'CANCELLED')
)
INSERT INTO batch_assets.abandoned_batch (batch_id, poll_at)
SELECT moved.id, clock_timestamp()
FROM moved

-- part: cools_longer
-- What is asked for while a cooldown is under way is the same one; soon after one it is the next, and twice
-- as long.
SET (cooldowns, until, reason) = (
    SELECT
        n.cooldowns,
        greatest(
            p.until,
            clock_timestamp() + make_interval(
                secs => least(:seconds * 2.0 ^ (n.cooldowns - 1), greatest(:seconds, :most_seconds))
            )
        ),
        excluded.reason
    FROM (
        SELECT CASE
            WHEN p.until > clock_timestamp() THEN p.cooldowns
            WHEN p.until > clock_timestamp() - interval '1 hour' THEN p.cooldowns + 1
            ELSE 1
        END AS cooldowns
    ) AS n
)

-- part: refused_again
-- Of several refusals of one trial only the first counts as one.
ON CONFLICT (account, model) DO UPDATE
SET most = excluded.most,
    refusals = CASE
        WHEN p.refused_at > clock_timestamp() - make_interval(secs => :trial_seconds)
        THEN p.refusals
        WHEN excluded.most > 1.5 * p.most OR p.refused_at < clock_timestamp() - interval '1 day'
        THEN 1
        ELSE p.refusals + 1
    END,
    refused_at = excluded.refused_at

-- name: note_creation_refused
-- The server takes what it has taken within the hour, unless that is too little to be the reason.
INSERT INTO batch_assets.allowance AS p (account, model, most, refused_at)
SELECT CAST(:account AS text), '', c.batches, clock_timestamp()
FROM (
    SELECT count(*) AS batches
    FROM batch_assets.batch AS b
    WHERE b.submitted_at > statement_timestamp() - interval '1 hour'
        AND
        -- here: is_of_this_hour
) AS c
WHERE c.batches >= :least
-- here: refused_again

-- name: allowances_in_use
SELECT
    -- here: allowances_in_use
    AS in_use

-- name: note_tokens_refused
-- The server takes what it has now without the batches that it refused, or half of the smallest of
-- these if that is more.
INSERT INTO batch_assets.allowance AS p (account, model, most, refused_at)
SELECT
    r.account,
    r.model,
    greatest(
        r.tokens / 2,
        (
            SELECT coalesce(sum(b.estimated_tokens), 0)
            FROM batch_assets.batch AS b
            WHERE b.state = 'submitted'
                AND b.model = r.model
                AND b.account = r.account
                AND b.id <> ALL(CAST(:batch_ids AS text[]))
        )
    ),
    clock_timestamp()
FROM (
    SELECT b.account, b.model, min(b.estimated_tokens) AS tokens
    FROM batch_assets.batch AS b
    WHERE b.id = ANY(CAST(:batch_ids AS text[]))
        AND b.account IS NOT NULL
        AND b.model IS NOT NULL
        AND b.estimated_tokens > 0
    GROUP BY b.account, b.model
) AS r
-- here: refused_again

-- name: cool_model
INSERT INTO batch_assets.model_cooldown AS p (account_name, model, until, reason)
VALUES (:account_name, :model, clock_timestamp() + make_interval(secs => :seconds), :reason)
ON CONFLICT (account_name, model) DO UPDATE
-- here: cools_longer

-- name: cool_account
INSERT INTO batch_assets.account_cooldown AS p (account_name, until, reason)
VALUES (:account_name, clock_timestamp() + make_interval(secs => :seconds), :reason)
ON CONFLICT (account_name) DO UPDATE
-- here: cools_longer
