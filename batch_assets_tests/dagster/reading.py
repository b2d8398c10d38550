"""What Dagster says of a run."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

LAST_OP = "evaluate_checks"


def failed_ops(result: dg.ExecuteInProcessResult) -> set[str]:
    """The ops that failed themselves; those after them did nothing.

    In the main job each of them hands its failure on, and the last one fails the run.
    """
    failed = set()
    for event in result.get_step_failure_events():
        told = _failure_in(event).metadata if event.step_key == LAST_OP else {}
        failed |= set(told) or {str(event.step_key)}
    assert result.success is (not failed)
    return failed


def failure_of(result: dg.ExecuteInProcessResult, op: str) -> str:
    """The sentence that is shown for an op that failed: in the run's failure, and at the op."""
    for event in result.get_step_failure_events():
        failure = _failure_in(event)
        if event.step_key == op and not failure.metadata:
            return str(failure.description)
        if op in failure.metadata:
            sentence = str(failure.metadata[op].value)
            assert sentence in str(failure.description)
            if op != LAST_OP:
                assert metadata_of(result, op)["failure"] == sentence
            return sentence
    raise AssertionError(f"{op} did not fail")


def _failure_in(event: dg.DagsterEvent) -> Any:
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return data


def metadata_of(result: dg.ExecuteInProcessResult, op: str) -> dict[str, object]:
    """An op's output metadata."""
    (event,) = [event for event in result.events_for_node(op) if event.is_successful_output]
    entries = event.step_output_data.metadata
    return {name: entry.value for name, entry in entries.items()}


def numbers_of(entries: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """What of some metadata is no table: what is plotted, and the figures that are not."""
    figures = entries["figures"]
    assert isinstance(figures, dg.TableMetadataValue)
    return {
        **plots_of(entries),
        **{str(one.data["figure"]): one.data["value"] for one in figures.records},
    }


def plots_of(entries: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """What of some metadata Dagster draws over time: each number that is an entry of it."""
    numbers = dg.IntMetadataValue, dg.FloatMetadataValue
    return {name: entry.value for name, entry in entries.items() if isinstance(entry, numbers)}


def evaluations(
    result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance | None = None
) -> dict[str, dg.AssetCheckEvaluation]:
    """What was evaluated in a run, by the check's name.

    Of a run that failed an instance has them all; its result lacks those of the op that failed.
    """
    events = result.all_events
    if instance is not None:
        logged = [one.dagster_event for one in instance.all_logs(result.run_id)]
        events = [event for event in logged if event is not None]
    said = [
        event.event_specific_data
        for event in events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    found = {one.check_name: one for one in said if isinstance(one, dg.AssetCheckEvaluation)}
    assert len(found) == len(said), "each is evaluated once"
    return found


def everything_stored(instance: dg.DagsterInstance, run_id: str) -> str:
    """Every event, log line, error and metadata value that is kept of a run, as text."""
    records = instance.get_records_for_run(run_id, limit=10_000).records
    return "\n".join(repr(record.event_log_entry) for record in records)
