"""LiveDash conversation analysis through the OpenAI Batch API."""
