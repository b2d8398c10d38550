"""Who is told of alerts: a module for each kind of receiver.

One more is a module here that implements `Receiver`, its settings in `settings/alerting.py`, and
its line in `Alerting.receivers` there.
"""
