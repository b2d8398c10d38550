"""One Dagster op a stage: read the inputs, call the stage, report what happened."""
