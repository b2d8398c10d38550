-- What each receiver of alerts was given last, of each alert, and what became of it: `since` is the
-- change's, `claimed_until` keeps other runs from it while one delivers it, `refused_by` is a digest of
-- the address and key that it was refused under, and `is_open` that the last that was delivered is that
-- the alert is raised. Neither delivered nor refused, it is pending.
CREATE TABLE batch_assets.alert_delivery (
    receiver      text        NOT NULL,
    alert         text        NOT NULL,
    since         timestamptz NOT NULL,
    claimed_until timestamptz,
    delivered_at  timestamptz,
    refused_by    text,
    is_open       boolean     NOT NULL DEFAULT false,
    CONSTRAINT alert_delivery_pkey PRIMARY KEY (receiver, alert)
);
INSERT INTO batch_assets.alert_delivery (receiver, alert, since, delivered_at, is_open)
SELECT 'webhook', a.name, a.since, a.notified_at, a.is_raised
FROM batch_assets.alert AS a
WHERE a.notified_at IS NOT NULL;
ALTER TABLE batch_assets.alert DROP COLUMN claimed_until, DROP COLUMN notified_at;
