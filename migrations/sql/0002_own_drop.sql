-- Only what 0002 made. The history of batches and attempts goes with it; LiveDash's rows stay.
DROP TABLE batch_assets.model_pause;
DROP TABLE batch_assets.dead_letter;
DROP TABLE batch_assets.retry;
DROP TABLE batch_assets.intake;
DROP TABLE batch_assets.attempt;
DROP TABLE batch_assets.batch;
DROP TABLE batch_assets.installation;
