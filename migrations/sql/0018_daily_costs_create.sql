-- The sums of a UTC day's submissions, once all of its batches have ended. A batch that is in them is
-- marked so: what there is in all is these sums and the batches that are not kept.
CREATE TABLE batch_assets.daily_cost (
    day                  date NOT NULL,
    company_id           text NOT NULL,
    model                text NOT NULL,
    batches              bigint NOT NULL,
    requests             bigint NOT NULL,
    usable_answers       bigint NOT NULL,
    unpriced_answers     bigint NOT NULL,
    prompt_tokens        bigint NOT NULL,
    cached_tokens        bigint NOT NULL,
    completion_tokens    bigint NOT NULL,
    reasoning_tokens     bigint NOT NULL,
    cost_usd             double precision,
    cost_eur             double precision NOT NULL,
    synchronous_cost_eur double precision NOT NULL,
    saved_eur            double precision NOT NULL,
    unusable_eur         double precision NOT NULL,
    discarded_eur        double precision NOT NULL,
    unattributed_usd     double precision NOT NULL,
    unattributed_eur     double precision NOT NULL,
    duplicates_usd       double precision NOT NULL,
    duplicates_eur       double precision NOT NULL,
    abandoned_usd        double precision NOT NULL,
    abandoned_eur        double precision NOT NULL,
    estimated_usd        double precision NOT NULL,
    estimated_eur        double precision NOT NULL,
    kept_at              timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT daily_cost_pkey PRIMARY KEY (day, company_id, model)
);
CREATE INDEX daily_cost_company_id_day_idx ON batch_assets.daily_cost (company_id, day);

ALTER TABLE batch_assets.batch ADD COLUMN is_kept boolean NOT NULL DEFAULT false;
CREATE INDEX batch_not_kept_idx ON batch_assets.batch (claimed_at) WHERE NOT is_kept;

-- EUR alone were booked so far.
ALTER TABLE batch_assets.abandoned_batch ADD COLUMN wasted_cost_usd double precision;

-- Written together with the answers: a run that is killed has it here, and no row of run_metric.
CREATE TABLE batch_assets.run_reading (
    batch_id             text NOT NULL,
    run_id               text NOT NULL,
    usable_answers       bigint NOT NULL,
    unpriced_answers     bigint NOT NULL,
    prompt_tokens        bigint NOT NULL,
    cached_tokens        bigint NOT NULL,
    completion_tokens    bigint NOT NULL,
    reasoning_tokens     bigint NOT NULL,
    cost_usd             double precision NOT NULL,
    cost_eur             double precision NOT NULL,
    synchronous_cost_eur double precision NOT NULL,
    saved_eur            double precision NOT NULL,
    unusable_eur         double precision NOT NULL,
    discarded_eur        double precision NOT NULL,
    began_at             timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    read_at              timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT run_reading_pkey PRIMARY KEY (batch_id, run_id)
);
CREATE INDEX run_reading_run_id_idx ON batch_assets.run_reading (run_id);
CREATE INDEX run_reading_read_at_idx ON batch_assets.run_reading (read_at);
