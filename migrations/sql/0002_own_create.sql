-- What is ours: see docs/state_machine.md for what each table means and who moves its rows.
-- No foreign key points to LiveDash's tables: it would put triggers on them.

-- Which database this is, so that a clone or a restored copy is noticed: its identity no longer fits.
CREATE TABLE batch_assets.installation (
    only_row          boolean     NOT NULL DEFAULT true,
    id                text        NOT NULL,
    system_identifier text        NOT NULL,
    database_name     text        NOT NULL,
    installed_at      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    confirmed_at      timestamptz,
    confirmed_by      text,
    CONSTRAINT installation_pkey PRIMARY KEY (only_row),
    CONSTRAINT installation_only_row_check CHECK (only_row)
);

-- A database that this project made itself needs no confirmation.
INSERT INTO batch_assets.installation
    (id, system_identifier, database_name, confirmed_at, confirmed_by)
SELECT
    gen_random_uuid()::text,
    (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c),
    current_database(),
    CASE WHEN p.livedash_made_here THEN CURRENT_TIMESTAMP END,
    CASE WHEN p.livedash_made_here THEN 'migration' END
FROM batch_assets.provenance AS p;

-- The intent and the life of each batch, with the lease of whoever works on it.
CREATE TABLE batch_assets.batch (
    id                  text             NOT NULL,
    installation_id     text,
    company_id          text             NOT NULL,
    model               text,
    state               text             NOT NULL,
    run_id              text             NOT NULL DEFAULT '',
    lease_owner         text,
    lease_expires_at    timestamptz,
    fence               bigint           NOT NULL DEFAULT 0,
    requests            integer          NOT NULL,
    estimated_tokens    bigint           NOT NULL DEFAULT 0,
    estimated_cost_eur  double precision NOT NULL DEFAULT 0,
    input_bytes         bigint,
    input_file_id       text,
    openai_batch_id     text,
    output_file_id      text,
    error_file_id       text,
    server_status       text,
    server_status_since timestamptz,
    server_errors       text[]           NOT NULL DEFAULT '{}',
    server_answered     bigint           NOT NULL DEFAULT 0,
    absences            bigint           NOT NULL DEFAULT 0,
    absent_since        timestamptz,
    completed           bigint           NOT NULL DEFAULT 0,
    failed              bigint           NOT NULL DEFAULT 0,
    returned            bigint           NOT NULL DEFAULT 0,
    discarded           bigint           NOT NULL DEFAULT 0,
    refused             bigint           NOT NULL DEFAULT 0,
    prompt_tokens       bigint           NOT NULL DEFAULT 0,
    completion_tokens   bigint           NOT NULL DEFAULT 0,
    cost_eur            double precision NOT NULL DEFAULT 0,
    live_cost_eur       double precision NOT NULL DEFAULT 0,
    claimed_at          timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    uploaded_at         timestamptz,
    submitted_at        timestamptz,
    ended_at            timestamptz,
    settled_at          timestamptz,
    released_at         timestamptz,
    files_deleted_at    timestamptz,
    CONSTRAINT batch_pkey PRIMARY KEY (id),
    CONSTRAINT batch_state_check CHECK (
        state IN ('claimed', 'uploaded', 'submitted', 'ended', 'settled', 'released')
    ),
    CONSTRAINT batch_lease_check CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT batch_uploaded_check CHECK (
        state <> 'uploaded' OR (input_file_id IS NOT NULL AND uploaded_at IS NOT NULL)
    ),
    CONSTRAINT batch_submitted_check CHECK (
        state NOT IN ('submitted', 'ended', 'settled')
        OR (
            openai_batch_id IS NOT NULL AND submitted_at IS NOT NULL
            AND server_status IS NOT NULL AND server_status_since IS NOT NULL
        )
    ),
    CONSTRAINT batch_ended_check CHECK ((ended_at IS NOT NULL) = (state IN ('ended', 'settled'))),
    CONSTRAINT batch_settled_check CHECK ((settled_at IS NOT NULL) = (state = 'settled')),
    CONSTRAINT batch_released_check CHECK ((released_at IS NOT NULL) = (state = 'released'))
);
CREATE UNIQUE INDEX batch_openai_batch_id_key ON batch_assets.batch (openai_batch_id)
    WHERE openai_batch_id IS NOT NULL;
-- The open batches only, so that no hot query reads in proportion to the history.
CREATE INDEX batch_open_idx ON batch_assets.batch (state, claimed_at)
    WHERE state IN ('claimed', 'uploaded', 'submitted', 'ended');
-- Those whose files may still be on the server, and are ours to delete.
CREATE INDEX batch_leftover_idx ON batch_assets.batch (claimed_at, id)
    WHERE state IN ('settled', 'released') AND installation_id IS NOT NULL
    AND input_file_id IS NOT NULL AND files_deleted_at IS NULL;
CREATE INDEX batch_claimed_at_idx ON batch_assets.batch (claimed_at);
CREATE INDEX batch_company_id_idx ON batch_assets.batch (company_id);

-- Every request of every batch, what became of it and what it cost.
CREATE TABLE batch_assets.attempt (
    batch_id      text             NOT NULL,
    request_id    text             NOT NULL,
    company_id    text             NOT NULL,
    outcome       text,
    counted       boolean          NOT NULL DEFAULT false,
    failure_kind  text,
    code          text,
    reason        text,
    cost_eur      double precision NOT NULL DEFAULT 0,
    live_cost_eur double precision NOT NULL DEFAULT 0,
    ended_at      timestamptz,
    CONSTRAINT attempt_pkey PRIMARY KEY (batch_id, request_id),
    CONSTRAINT attempt_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES batch_assets.batch (id),
    CONSTRAINT attempt_outcome_check CHECK (
        outcome IN ('completed', 'failed', 'unanswered', 'released', 'discarded')
    ),
    CONSTRAINT attempt_ended_check CHECK ((outcome IS NULL) = (ended_at IS NULL))
);
CREATE INDEX attempt_request_id_idx ON batch_assets.attempt (request_id);

-- Waiting requests that were noticed, with their company: LiveDash's row does not name it.
CREATE TABLE batch_assets.intake (
    request_id   text        NOT NULL,
    company_id   text        NOT NULL,
    requested_at timestamptz NOT NULL,
    noticed_at   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT intake_pkey PRIMARY KEY (request_id)
);
CREATE INDEX intake_company_id_requested_at_idx
    ON batch_assets.intake (company_id, requested_at, request_id);

-- Failed requests that will be tried again, and when.
CREATE TABLE batch_assets.retry (
    request_id   text        NOT NULL,
    company_id   text        NOT NULL,
    attempts     integer     NOT NULL,
    failure_kind text        NOT NULL,
    code         text        NOT NULL,
    reason       text        NOT NULL,
    failed_at    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    retry_at     timestamptz NOT NULL,
    CONSTRAINT retry_pkey PRIMARY KEY (request_id)
);
CREATE INDEX retry_retry_at_idx ON batch_assets.retry (retry_at);

-- Failed requests that nobody tries again unasked, and why.
CREATE TABLE batch_assets.dead_letter (
    request_id   text        NOT NULL,
    company_id   text        NOT NULL,
    batch_id     text,
    attempts     integer     NOT NULL,
    failure_kind text        NOT NULL,
    code         text        NOT NULL,
    reason       text        NOT NULL,
    dead_at      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT dead_letter_pkey PRIMARY KEY (request_id)
);
CREATE INDEX dead_letter_company_id_dead_at_idx
    ON batch_assets.dead_letter (company_id, dead_at);

-- Models that rest because the server had no room for them.
CREATE TABLE batch_assets.model_pause (
    model  text        NOT NULL,
    until  timestamptz NOT NULL,
    reason text        NOT NULL,
    CONSTRAINT model_pause_pkey PRIMARY KEY (model)
);
