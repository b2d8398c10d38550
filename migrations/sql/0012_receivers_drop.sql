ALTER TABLE batch_assets.alert
    ADD COLUMN claimed_until timestamptz,
    ADD COLUMN notified_at timestamptz;
UPDATE batch_assets.alert AS a
SET notified_at = d.delivered_at
FROM batch_assets.alert_delivery AS d
WHERE d.receiver = 'webhook' AND d.alert = a.name AND d.since = a.since;
DROP TABLE batch_assets.alert_delivery;
