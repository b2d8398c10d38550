-- What answers have used, by model and processing type: sums in which older answers count ever less, and of
-- EUR faster. With each attempt what its estimate was made from, and the estimate; NULL for those before.
CREATE TABLE batch_assets.learnt_usage (
    model text NOT NULL,
    processing_type text NOT NULL,
    answers bigint NOT NULL,
    weight double precision NOT NULL,
    text_bytes double precision NOT NULL,
    text_bytes_squared double precision NOT NULL,
    text_bytes_by_prompt_tokens double precision NOT NULL,
    prompt_tokens double precision NOT NULL,
    cached_tokens double precision NOT NULL,
    completion_tokens double precision NOT NULL,
    completion_tokens_squared double precision NOT NULL,
    estimated_eur double precision NOT NULL,
    billed_eur double precision NOT NULL,
    off_eur double precision NOT NULL,
    PRIMARY KEY (model, processing_type)
);
ALTER TABLE batch_assets.attempt
    ADD COLUMN text_bytes integer,
    ADD COLUMN estimated_cost_eur double precision;
ALTER TABLE batch_assets.result_staging ADD COLUMN processing_type text;
ALTER TABLE batch_assets.run_metric ADD COLUMN estimate_error_percent double precision;
