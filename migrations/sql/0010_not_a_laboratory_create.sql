-- In which incarnation the server's lists were last seen to show nothing that this database does not
-- know, and when: a start of a server, or a restored table, is another one, and so is each copy.
-- `doubt` is why that could not be told of the present one.
ALTER TABLE batch_assets.installation
    ADD COLUMN incarnation text,
    ADD COLUMN incarnation_at timestamptz,
    ADD COLUMN doubt text;
UPDATE batch_assets.installation AS i
SET incarnation = concat_ws(
        '/',
        (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()),
        pg_relation_filenode('batch_assets.installation'),
        extract(epoch FROM pg_postmaster_start_time())
    ),
    incarnation_at = CURRENT_TIMESTAMP
WHERE NOT EXISTS (SELECT FROM batch_assets.batch AS b);
