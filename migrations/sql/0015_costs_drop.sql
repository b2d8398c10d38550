ALTER TABLE batch_assets.result_staging DROP COLUMN cost_usd;
ALTER TABLE batch_assets.attempt
    DROP COLUMN service_tier,
    DROP COLUMN reasoning_tokens,
    DROP COLUMN cached_tokens,
    DROP COLUMN completion_tokens,
    DROP COLUMN prompt_tokens,
    DROP COLUMN cost_usd;
ALTER TABLE batch_assets.batch
    DROP COLUMN usd_to_eur,
    DROP COLUMN cost_usd,
    DROP COLUMN price;
