"""The wire: JSONL out, result lines in, limits, failure kinds and the client."""
