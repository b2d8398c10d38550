"""Checks and measurements that are too long for the test suite; each has its own command."""
