"""Who is told of alerts: a module for each kind of receiver.

One more is a module here that implements `Receiver`, its settings in `settings/alerting.py`, and
its line in `Alerting.receivers` there. It imports no other receiver (a contract in
`pyproject.toml`), and what it sends is among the ways of `batch_assets_tests/test_ways_out.py`.
"""
