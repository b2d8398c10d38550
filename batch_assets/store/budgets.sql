-- part: paid_this_month
-- What the claims of this UTC month count with against budgets: what is kept of its days as sums, and the
-- batches that are in none of these. Where no budget is for a month, those of today alone; today is kept, too,
-- if the clock was ahead then, or midnight was while a claim waited.
SELECT
    b.company_id,
    spent.cost_eur,
    b.claimed_at >= date_trunc('day', CURRENT_TIMESTAMP, 'UTC') AS is_today
FROM batch_assets.batch AS b
-- here: spent
WHERE NOT b.is_kept
    AND b.installation_id IS NOT NULL
    AND b.claimed_at >= CASE
        WHEN EXISTS (SELECT FROM batch_assets.budget AS m WHERE m.period = 'month')
        THEN date_trunc('month', CURRENT_TIMESTAMP, 'UTC')
        ELSE date_trunc('day', CURRENT_TIMESTAMP, 'UTC')
    END
UNION ALL
SELECT
    k.company_id,
    k.spent_eur,
    k.day >= CAST(date_trunc('day', CURRENT_TIMESTAMP AT TIME ZONE 'UTC') AS date) AS is_today
FROM batch_assets.daily_cost AS k
WHERE k.day >= CASE
    WHEN EXISTS (SELECT FROM batch_assets.budget AS m WHERE m.period = 'month')
    THEN CAST(date_trunc('month', CURRENT_TIMESTAMP AT TIME ZONE 'UTC') AS date)
    ELSE CAST(date_trunc('day', CURRENT_TIMESTAMP AT TIME ZONE 'UTC') AS date)
END

-- part: budgets
-- Every budget, or those that bound what one company sends, and how much of its period is spent; as
-- `read_budgets` reads it. The sums are looked into by key, since claims may not hash, and are made once:
-- not at all while there is no budget.
(
    SELECT coalesce(
        json_agg(
            json_build_object(
                'company_id', g.company_id,
                'company', (SELECT c.name FROM public."Company" AS c WHERE c.id = g.company_id),
                'shares_name', EXISTS (
                    SELECT
                    FROM public."Company" AS c
                    JOIN public."Company" AS o ON o.name = c.name AND o.id <> c.id
                    WHERE c.id = g.company_id
                ),
                'period', g.period,
                'amount_eur', g.amount_eur,
                'spent_eur', coalesce(
                    CAST(
                        (
                            SELECT jsonb_object_agg(
                                coalesce(t.company_id, ''),
                                jsonb_build_object('day', t.of_day, 'month', t.of_month)
                            )
                            FROM (
                                SELECT
                                    p.company_id,
                                    sum(p.cost_eur) FILTER (WHERE p.is_today) AS of_day,
                                    sum(p.cost_eur) AS of_month
                                FROM (
                                    -- here: paid_this_month
                                ) AS p
                                GROUP BY GROUPING SETS ((p.company_id), ())
                            ) AS t
                        ) #>> ARRAY[g.company_id, g.period] AS float8
                    ),
                    0
                ),
                'today', CAST(CURRENT_TIMESTAMP AT TIME ZONE 'UTC' AS date),
                'set_by', g.set_by,
                'set_at', g.set_at
            )
            ORDER BY g.company_id, g.period
        ),
        '[]'
    )
    FROM batch_assets.budget AS g
    WHERE CAST(:budgets_of AS text) IS NULL OR g.company_id IN ('', CAST(:budgets_of AS text))
)

-- name: uses
SELECT
    -- here: budgets
    AS budgets

-- name: set
-- All of them or none. One that is set to what it was is set anew all the same: somebody has looked at it.
INSERT INTO batch_assets.budget AS g (company_id, period, amount_eur, set_by)
SELECT w.company_id, w.period, w.amount_eur, :set_by
FROM unnest(
    (SELECT CAST(:company_ids AS text[])),
    (SELECT CAST(:periods AS text[])),
    (SELECT CAST(:amounts_eur AS float8[]))
) AS w (company_id, period, amount_eur)
ORDER BY w.company_id, w.period
ON CONFLICT (company_id, period) DO UPDATE
SET amount_eur = excluded.amount_eur,
    set_by = excluded.set_by,
    set_at = excluded.set_at

-- name: keep_only
-- What is left out of what is set goes.
DELETE FROM batch_assets.budget AS g
WHERE NOT EXISTS (
    SELECT
    FROM unnest(
        (SELECT CAST(:company_ids AS text[])), (SELECT CAST(:periods AS text[]))
    ) AS w (company_id, period)
    WHERE w.company_id = g.company_id AND w.period = g.period
)

-- name: clear
DELETE FROM batch_assets.budget AS g WHERE g.company_id = :company_id AND g.period = :period
