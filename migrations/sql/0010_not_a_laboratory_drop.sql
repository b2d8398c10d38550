DROP TABLE batch_assets.drain;
ALTER TABLE batch_assets.installation DROP COLUMN has_orphans;

DROP TRIGGER intake_date_by_noticing ON batch_assets.intake;
DROP FUNCTION batch_assets.date_by_noticing();
DROP TABLE batch_assets.run_process;
ALTER TABLE batch_assets.installation
    DROP COLUMN doubt,
    DROP COLUMN incarnation_at,
    DROP COLUMN incarnation;
