DROP TABLE batch_assets.alert;
DROP TABLE batch_assets.run_metric;
