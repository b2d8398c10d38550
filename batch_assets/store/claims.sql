-- name: begin_claim
-- Caps and allowances are sums over other rows: without this two claims could both fit under them.
-- What a claim reads and writes is found by key, or by an index in its order. Rows change together
-- here, so statistics are always late, and plans that trust them read a backlog or the history:
-- until the transaction ends the planner may only use indexes.
SELECT
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    -- here: claim_lock

-- name: used
-- What caps, budgets, allowances and cooldowns depend on, in one row. Batches of LiveDash's own count for nothing.
SELECT
    (
        SELECT coalesce(json_object_agg(t.company_id, json_build_array(t.requests, t.cost)), '{}')
        FROM (
            SELECT b.company_id, sum(spent.requests) AS requests, sum(spent.cost_eur) AS cost
            FROM batch_assets.batch AS b
            -- here: spent
            WHERE b.claimed_at >= date_trunc('day', CURRENT_TIMESTAMP, 'UTC')
                AND b.installation_id IS NOT NULL
            GROUP BY b.company_id
        ) AS t
    ) AS today,
    (
        SELECT coalesce(json_object_agg(q.model, q.tokens), '{}')
        FROM (
            SELECT b.model, sum(b.estimated_tokens) AS tokens
            FROM batch_assets.batch AS b
            WHERE b.state IN ('claimed', 'uploaded', 'submitted')
                AND b.account_name = :account_name
                AND b.model IS NOT NULL
            GROUP BY b.model
        ) AS q
    ) AS enqueued,
    (
        SELECT coalesce(json_object_agg(p.model, p.reason), '{}')
        FROM batch_assets.model_cooldown AS p
        WHERE p.account_name = :account_name AND p.until > clock_timestamp()
    ) AS cooling,
    -- here: budgets
    AS budgets,
    -- here: created_this_hour
    -- here: allowances
    ,
    -- here: past_batches_as_json
    AS past_batches
