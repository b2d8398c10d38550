"""What makes it run with nothing installed: PostgreSQL, a Batch API server, samples."""
