"""What a person starts to steer: each the same for Dagster's jobs and for the command line."""
