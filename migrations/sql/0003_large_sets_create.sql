-- The intake knows each request's model, so that the claim passes over models that rest without
-- reading what waits for them. What is in it goes and is noticed again: each run looks for what is
-- missing.
TRUNCATE batch_assets.intake;
ALTER TABLE batch_assets.intake ADD COLUMN model text NOT NULL;
DROP INDEX batch_assets.intake_company_id_requested_at_idx;
CREATE INDEX intake_company_id_model_requested_at_idx
    ON batch_assets.intake (company_id, model, requested_at, request_id);

-- How far the optimized operations have read: without its row they begin at the beginning.
CREATE TABLE batch_assets.intake_progress (
    only_row      boolean NOT NULL DEFAULT true,
    noticed_until timestamptz,
    swept_at      timestamptz,
    checked_id    text,
    CONSTRAINT intake_progress_pkey PRIMARY KEY (only_row),
    CONSTRAINT intake_progress_only_row_check CHECK (only_row)
);

-- Through which a set of outcomes comes in by COPY: written and emptied in one transaction, so that
-- nobody ever sees a row of it, and not worth logging.
CREATE UNLOGGED TABLE batch_assets.result_staging (
    batch_id                    text             NOT NULL,
    request_id                  text             NOT NULL,
    outcome                     text             NOT NULL,
    counted                     boolean          NOT NULL,
    failure_kind                text,
    code                        text,
    reason                      text,
    attempts                    integer,
    delay_seconds               double precision,
    openai_request_id           text,
    service_tier                text,
    system_fingerprint          text,
    prompt_tokens               integer,
    completion_tokens           integer,
    total_tokens                integer,
    cached_tokens               integer,
    audio_tokens_prompt         integer,
    reasoning_tokens            integer,
    audio_tokens_completion     integer,
    accepted_prediction_tokens  integer,
    rejected_prediction_tokens  integer,
    prompt_token_cost           double precision,
    completion_token_cost       double precision,
    cost_eur                    double precision NOT NULL,
    live_cost_eur               double precision NOT NULL
);

-- What each run's operations took, by implementation.
CREATE TABLE batch_assets.operation_run (
    id             bigint           NOT NULL GENERATED ALWAYS AS IDENTITY,
    run_id         text             NOT NULL,
    operation      text             NOT NULL,
    implementation text             NOT NULL,
    purpose        text             NOT NULL,
    calls          bigint           NOT NULL,
    failures       bigint           NOT NULL,
    fallbacks      bigint           NOT NULL,
    seconds        double precision NOT NULL,
    statements     bigint           NOT NULL,
    rows           bigint           NOT NULL,
    recorded_at    timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT operation_run_pkey PRIMARY KEY (id),
    CONSTRAINT operation_run_implementation_check
        CHECK (implementation IN ('original', 'optimized')),
    CONSTRAINT operation_run_purpose_check CHECK (purpose IN ('work', 'probe'))
);
CREATE INDEX operation_run_operation_implementation_recorded_at_idx
    ON batch_assets.operation_run (operation, implementation, recorded_at);
CREATE INDEX operation_run_recorded_at_idx ON batch_assets.operation_run (recorded_at);

-- Which implementation of an operation runs in mode auto, since when and why.
CREATE TABLE batch_assets.operation_choice (
    operation      text        NOT NULL,
    implementation text        NOT NULL,
    reason         text        NOT NULL,
    since          timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT operation_choice_pkey PRIMARY KEY (operation),
    CONSTRAINT operation_choice_implementation_check
        CHECK (implementation IN ('original', 'optimized'))
);
