"""Lifecycles: engine and pool, API client, company lookup, query strategy."""
