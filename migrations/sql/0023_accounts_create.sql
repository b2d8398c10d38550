-- What there is belongs to the only account that there was.
ALTER TABLE batch_assets.batch ADD COLUMN account_name text NOT NULL DEFAULT 'default';

-- Companies that another account than the default serves.
CREATE TABLE batch_assets.company_account (
    company_id   text NOT NULL,
    account_name text NOT NULL,
    assigned_by  text NOT NULL,
    assigned_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT company_account_pkey PRIMARY KEY (company_id)
);

-- From which incarnation of the database an account's lists were last looked at; that of the default
-- account stays with the installation.
CREATE TABLE batch_assets.account_look (
    account_name   text NOT NULL,
    incarnation    text,
    incarnation_at timestamptz,
    doubt          text,
    CONSTRAINT account_look_pkey PRIMARY KEY (account_name)
);

-- One for each account.
ALTER TABLE batch_assets.breaker
    ADD COLUMN account_name text NOT NULL DEFAULT 'default',
    DROP CONSTRAINT breaker_pkey,
    ADD CONSTRAINT breaker_pkey PRIMARY KEY (operation, account_name);
ALTER TABLE batch_assets.model_cooldown
    ADD COLUMN account_name text NOT NULL DEFAULT 'default',
    DROP CONSTRAINT model_cooldown_pkey,
    ADD CONSTRAINT model_cooldown_pkey PRIMARY KEY (model, account_name);
ALTER TABLE batch_assets.account_cooldown
    ADD COLUMN account_name text NOT NULL DEFAULT 'default',
    DROP COLUMN only_row,
    ADD CONSTRAINT account_cooldown_pkey PRIMARY KEY (account_name);
ALTER TABLE batch_assets.search
    ADD COLUMN account_name text NOT NULL DEFAULT 'default',
    DROP COLUMN only_row,
    ADD CONSTRAINT search_pkey PRIMARY KEY (account_name);
