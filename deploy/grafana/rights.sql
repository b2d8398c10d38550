-- What the dashboard reads. Of a company never its csvPassword.
CREATE ROLE batch_grafana LOGIN;
GRANT USAGE ON SCHEMA public, batch_assets TO batch_grafana;
GRANT SELECT (id, name) ON public."Company" TO batch_grafana;
GRANT SELECT ON batch_assets.alert, batch_assets.daily_cost, batch_assets.dead_letter, batch_assets.intake,
    batch_assets.run_metric TO batch_grafana;
