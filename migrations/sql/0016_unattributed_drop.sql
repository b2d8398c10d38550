ALTER TABLE batch_assets.run_metric DROP COLUMN wasted_unattributed_eur;
ALTER TABLE batch_assets.batch
    DROP COLUMN unattributed_is_estimated,
    DROP COLUMN unattributed_eur,
    DROP COLUMN unattributed_usd,
    DROP COLUMN server_completion_tokens,
    DROP COLUMN server_cached_tokens,
    DROP COLUMN server_prompt_tokens;
