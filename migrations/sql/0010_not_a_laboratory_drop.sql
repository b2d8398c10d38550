ALTER TABLE batch_assets.installation
    DROP COLUMN doubt,
    DROP COLUMN incarnation_at,
    DROP COLUMN incarnation;
