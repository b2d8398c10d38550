-- Open requests that ask the same as another one: of these one is bought, and the others share its
-- answer. `leader_id` is that one.
CREATE TABLE batch_assets.follower (
    request_id   text        NOT NULL,
    company_id   text        NOT NULL,
    leader_id    text        NOT NULL,
    requested_at timestamptz NOT NULL,
    since        timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT follower_pkey PRIMARY KEY (request_id)
);
CREATE INDEX follower_leader_id_requested_at_idx
    ON batch_assets.follower (leader_id, requested_at, request_id);

-- Whose answer a request has that was never sent itself.
ALTER TABLE batch_assets.attempt ADD COLUMN shares_answer_of text;

-- What LiveDash's batch timers have done beside us, each thing once, and which of it was bought twice.
CREATE TABLE batch_assets.livedash_act (
    id          text        NOT NULL,
    timer       text        NOT NULL,
    company_id  text,
    request_id  text,
    batch_id    text,
    is_purchase boolean     NOT NULL,
    is_double   boolean     NOT NULL,
    noticed_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT livedash_act_pkey PRIMARY KEY (id),
    CONSTRAINT livedash_act_timer_check CHECK (timer IN ('create', 'retry', 'process', 'unknown'))
);
CREATE INDEX livedash_act_noticed_at_idx ON batch_assets.livedash_act (noticed_at);

-- How far the dead letters were compared with LiveDash's rows: so many a run, round and round.
CREATE TABLE batch_assets.livedash_watch (
    only_row   boolean NOT NULL DEFAULT true,
    checked_id text,
    CONSTRAINT livedash_watch_pkey PRIMARY KEY (only_row),
    CONSTRAINT livedash_watch_only_row_check CHECK (only_row)
);

-- What outcomes say of their sessions, between the statement that moves the rows and the one that
-- sees all rows of each session as they are then.
CREATE UNLOGGED TABLE batch_assets.session_staging (
    session_id   text    NOT NULL,
    line         integer NOT NULL,
    is_answered  boolean NOT NULL,
    language     text,
    sentiment    text,
    category     text,
    escalated    boolean,
    forwarded_hr boolean,
    summary      text,
    questions    text[]
);

ALTER TABLE batch_assets.run_metric
    ADD COLUMN following_requests bigint,
    ADD COLUMN shared_requests bigint NOT NULL DEFAULT 0,
    ADD COLUMN saved_by_sharing_eur double precision NOT NULL DEFAULT 0;
ALTER TABLE batch_assets.run_metric
    ALTER COLUMN shared_requests DROP DEFAULT,
    ALTER COLUMN saved_by_sharing_eur DROP DEFAULT;

-- What is under way is moved out of the reach of LiveDash's timers. Until now a batch of ours said how
-- it was on the server, and a request that waits for its next try that it had failed.
UPDATE public."AIBatchRequest" AS l
SET status = 'UPLOADING'
FROM batch_assets.batch AS b
WHERE b.id = l.id
    AND b.kind = 'batch'
    AND b.installation_id IS NOT NULL
    AND b.state IN ('submitted', 'ended');

UPDATE public."AIProcessingRequest" AS r
SET "processingStatus" = 'BATCHING_IN_PROGRESS', "batchId" = NULL, "completedAt" = NULL
FROM batch_assets.retry AS f
WHERE f.request_id = r.id AND r."processingStatus" = 'PROCESSING_FAILED';

-- A session of which something is open is IN_PROGRESS: PENDING makes LiveDash ask once more.
UPDATE public."SessionProcessingStatus" AS p
SET status = 'IN_PROGRESS',
    "startedAt" = CURRENT_TIMESTAMP,
    "completedAt" = NULL,
    "errorMessage" = NULL
FROM public."AIProcessingRequest" AS r
WHERE r."sessionId" = p."sessionId"
    AND p.stage = 'AI_ANALYSIS'
    AND p.status <> 'IN_PROGRESS'
    AND (
        r."processingStatus" = 'BATCHING_IN_PROGRESS'
        OR EXISTS (SELECT FROM batch_assets.intake AS i WHERE i.request_id = r.id)
    );
