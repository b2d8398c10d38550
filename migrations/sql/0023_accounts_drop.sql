-- Only the default account goes on: what was made with others can be read by nobody before the way back.
DELETE FROM batch_assets.search AS s WHERE s.account_name <> 'default';
ALTER TABLE batch_assets.search
    DROP COLUMN account_name,
    ADD COLUMN only_row boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT search_pkey PRIMARY KEY (only_row),
    ADD CONSTRAINT search_only_row_check CHECK (only_row);
DELETE FROM batch_assets.account_cooldown AS p WHERE p.account_name <> 'default';
ALTER TABLE batch_assets.account_cooldown
    DROP COLUMN account_name,
    ADD COLUMN only_row boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT account_cooldown_pkey PRIMARY KEY (only_row),
    ADD CONSTRAINT account_cooldown_only_row_check CHECK (only_row);
DELETE FROM batch_assets.model_cooldown AS p WHERE p.account_name <> 'default';
ALTER TABLE batch_assets.model_cooldown
    DROP COLUMN account_name,
    ADD CONSTRAINT model_cooldown_pkey PRIMARY KEY (model);
DELETE FROM batch_assets.breaker AS k WHERE k.account_name <> 'default';
ALTER TABLE batch_assets.breaker
    DROP COLUMN account_name,
    ADD CONSTRAINT breaker_pkey PRIMARY KEY (operation);
DROP TABLE batch_assets.account_look;
DROP TABLE batch_assets.company_account;
ALTER TABLE batch_assets.batch DROP COLUMN account_name;
