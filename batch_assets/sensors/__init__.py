"""The sensors: what starts a run between the schedule's, and what keeps runs from failing on."""

from batch_assets.sensors.backlog import backlog_sensor
from batch_assets.sensors.completion import completion_sensor
from batch_assets.sensors.failure import failure_sensor

__all__ = ["backlog_sensor", "completion_sensor", "failure_sensor"]
