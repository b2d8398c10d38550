-- What else was made here on LiveDash's tables than these and their indexes: a downgrade removes only
-- that.
ALTER TABLE batch_assets.provenance
    ADD COLUMN IF NOT EXISTS others_made_here text[] NOT NULL DEFAULT '{}';
