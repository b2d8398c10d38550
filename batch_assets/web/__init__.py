"""Who may ask the UI's web server for what: ASGI, and nothing of Dagster."""
