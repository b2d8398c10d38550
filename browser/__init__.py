"""Dagster's UI in a real browser: its tests, and the pictures of the tour in docs/operations.md."""
