DROP TABLE batch_assets.drain;
ALTER TABLE batch_assets.installation DROP COLUMN has_orphans;


DROP TABLE batch_assets.run_process;
ALTER TABLE batch_assets.installation
    DROP COLUMN doubt,
    DROP COLUMN incarnation_at,
    DROP COLUMN incarnation;
