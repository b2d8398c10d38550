-- After all that it names has gone, or stays as it holds rows.
ALTER TABLE batch_assets.provenance
    DROP COLUMN others_made_here;
