"""What each stage of the pipeline does, in plain Python that a test can call without Dagster."""
