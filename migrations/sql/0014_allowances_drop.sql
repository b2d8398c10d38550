DROP TABLE batch_assets.allowance;
