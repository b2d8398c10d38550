-- Unknown of the runs before, and of each that looks back on a day without such a request.
ALTER TABLE batch_assets.run_metric ADD COLUMN unknown_calls_percent double precision;
