"""One Dagster op a control, with the config that the Launchpad explains and checks."""
