-- In which incarnation the server's lists were last seen to show nothing that this database does not
-- know, and when: a start of a server, or a restored table, is another one, and so is each copy.
-- `doubt` is why that could not be told of the present one.
ALTER TABLE batch_assets.installation
    ADD COLUMN incarnation text,
    ADD COLUMN incarnation_at timestamptz,
    ADD COLUMN doubt text;
UPDATE batch_assets.installation AS i
SET incarnation = concat_ws(
        '/',
        (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()),
        pg_relation_filenode('batch_assets.installation'),
        extract(epoch FROM pg_postmaster_start_time())
    ),
    incarnation_at = CURRENT_TIMESTAMP
WHERE NOT EXISTS (SELECT FROM batch_assets.batch AS b);

-- The processes in which Dagster's runs are, so that a run whose process is gone is known as such:
-- `host` names the processes that see each other's ids, `started_ticks` tells one from a later one
-- with its id, and `beat_at` is when it last said that it lives.
CREATE TABLE batch_assets.run_process (
    run_id          text        NOT NULL,
    host            text        NOT NULL,
    pid             integer     NOT NULL,
    started_ticks   bigint      NOT NULL,
    host_name       text        NOT NULL,
    began_at        timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    beat_at         timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ended_at        timestamptz,
    cancel_asked_at timestamptz,
    given_up_at     timestamptz,
    CONSTRAINT run_process_pkey PRIMARY KEY (run_id, host, pid, started_ticks)
);
CREATE INDEX run_process_beat_at_idx ON batch_assets.run_process (beat_at);

-- Whether requests are in progress, in no batch, of which nothing here says what they wait for: an
-- earlier installation whose schema was lost has left them. A run lets them wait again, once.
ALTER TABLE batch_assets.installation ADD COLUMN has_orphans boolean NOT NULL DEFAULT false;
UPDATE batch_assets.installation AS i
SET has_orphans = EXISTS (
    SELECT
    FROM public."AIProcessingRequest" AS r
    WHERE r."processingStatus" = 'BATCHING_IN_PROGRESS'
        AND r."batchId" IS NULL
        AND NOT EXISTS (SELECT FROM batch_assets.retry AS f WHERE f.request_id = r.id)
        AND NOT EXISTS (SELECT FROM batch_assets.follower AS w WHERE w.request_id = r.id)
);

-- Nothing is submitted while there is this row: what is under way is read, or handed over to LiveDash.
CREATE TABLE batch_assets.drain (
    only_row    boolean     NOT NULL DEFAULT true,
    began_at    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    began_by    text        NOT NULL,
    CONSTRAINT drain_pkey PRIMARY KEY (only_row),
    CONSTRAINT drain_only_row_check CHECK (only_row)
);

-- A request cannot have been asked for after it was noticed, nor before there were dates that a driver
-- can hold: one whose date says so waits from when it was noticed. It is set aside when it is claimed.
CREATE FUNCTION batch_assets.date_by_noticing() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.requested_at := NEW.noticed_at;
    RETURN NEW;
END
$$;
CREATE TRIGGER intake_date_by_noticing
    BEFORE INSERT OR UPDATE ON batch_assets.intake
    FOR EACH ROW
    WHEN (NEW.requested_at NOT BETWEEN '0001-01-02 00:00+00' AND NEW.noticed_at + interval '1 day')
    EXECUTE FUNCTION batch_assets.date_by_noticing();
UPDATE batch_assets.intake AS i
SET requested_at = i.noticed_at
WHERE i.requested_at NOT BETWEEN '0001-01-02 00:00+00' AND i.noticed_at + interval '1 day';
