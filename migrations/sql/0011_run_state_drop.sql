DROP TABLE batch_assets.run_state;
