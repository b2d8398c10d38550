"""LiveDash conversation analysis through the OpenAI Batch API."""

import gc

# Dagster, the SDK and SQLAlchemy make some hundred thousand objects that stay to the end. With
# Python's 700 each process looks through them so often that it takes a quarter longer to start.
gc.set_threshold(10_000)
