"""The way out for alerts: one POST for each change, to an address that may hold a secret."""
