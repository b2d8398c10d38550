-- What was billed, as the server counted it, and at which price. A batch has one model, and so one price:
-- that of the day on which it was claimed, with where it is from. Of what ended before nothing is known
-- of all this: NULL, in a row of which nothing has to be written anew.
ALTER TABLE batch_assets.batch
    ADD COLUMN price jsonb,
    ADD COLUMN cost_usd double precision,
    ADD COLUMN usd_to_eur double precision;
ALTER TABLE batch_assets.attempt
    ADD COLUMN cost_usd double precision,
    ADD COLUMN prompt_tokens integer,
    ADD COLUMN completion_tokens integer,
    ADD COLUMN cached_tokens integer,
    ADD COLUMN reasoning_tokens integer,
    ADD COLUMN service_tier text;
ALTER TABLE batch_assets.result_staging ADD COLUMN cost_usd double precision;
