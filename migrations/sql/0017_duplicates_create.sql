-- Known once the server says it: until then only what the first batch was estimated at.
ALTER TABLE batch_assets.duplicate_batch
    ADD COLUMN cost_usd double precision,
    ADD COLUMN cost_eur double precision;
