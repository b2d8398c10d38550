-- name: companies
-- By the batches whose results were read to their end in a time: what each company's requests came
-- to, and what they cost. The sums of all companies are those of the runs, but for what runs have
-- read of batches that were not read to their end.
SELECT
    b.company_id,
    c.name AS company,
    count(*) AS settled_batches,
    sum(b.completed)::bigint AS completed_requests,
    sum(b.failed)::bigint AS failed_requests,
    sum(b.returned)::bigint AS returned_requests,
    sum(b.discarded)::bigint AS discarded_requests,
    sum(b.prompt_tokens)::bigint AS prompt_tokens,
    sum(b.completion_tokens)::bigint AS completion_tokens,
    sum(b.cost_eur) AS cost_eur,
    sum(b.live_cost_eur) AS live_cost_eur,
    sum(b.live_cost_eur - b.cost_eur) AS saved_eur,
    sum(b.unpriced)::bigint AS unpriced_answers
FROM batch_assets.batch AS b
LEFT JOIN public."Company" AS c ON c.id = b.company_id
WHERE b.settled_at >= :since AND b.settled_at < :until
GROUP BY b.company_id, c.name
ORDER BY sum(b.cost_eur) DESC, b.company_id
