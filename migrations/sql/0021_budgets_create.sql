-- What may be spent in each UTC day or calendar month: by a company, or, where the id is empty, by all of them
-- together.
CREATE TABLE batch_assets.budget (
    company_id text NOT NULL,
    period     text NOT NULL,
    amount_eur double precision NOT NULL,
    set_by     text NOT NULL,
    set_at     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT budget_pkey PRIMARY KEY (company_id, period),
    CONSTRAINT budget_period_check CHECK (period IN ('day', 'month')),
    CONSTRAINT budget_amount_check CHECK (amount_eur >= 0 AND amount_eur < 'Infinity')
);
ALTER TABLE batch_assets.run_metric
    ADD COLUMN held_by_budget_requests bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_assets.run_metric ALTER COLUMN held_by_budget_requests DROP DEFAULT;

-- What the submissions of a day count with against budgets: also what answers without a known cost are
-- estimated at, and what is still looked for.
ALTER TABLE batch_assets.daily_cost ADD COLUMN spent_eur double precision NOT NULL DEFAULT 0;
UPDATE batch_assets.daily_cost
SET spent_eur = cost_eur + unattributed_eur + duplicates_eur + abandoned_eur
WHERE model <> '';
ALTER TABLE batch_assets.daily_cost ALTER COLUMN spent_eur DROP DEFAULT;
