ALTER TABLE batch_assets.daily_cost DROP COLUMN spent_eur;
ALTER TABLE batch_assets.run_metric DROP COLUMN held_by_budget_requests;
DROP TABLE batch_assets.budget;
