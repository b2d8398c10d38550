"""What Dagster says of a run."""

import dagster as dg


def failed_ops(result: dg.ExecuteInProcessResult) -> set[str]:
    """The ops that failed themselves; those after them did not run."""
    return {str(event.step_key) for event in result.get_step_failure_events()}


def failure_of(result: dg.ExecuteInProcessResult, op: str) -> str:
    """The sentence that is shown for an op that failed."""
    (event,) = [event for event in result.get_step_failure_events() if event.step_key == op]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


def metadata_of(result: dg.ExecuteInProcessResult, op: str) -> dict[str, object]:
    """An op's output metadata."""
    (event,) = [event for event in result.events_for_node(op) if event.is_successful_output]
    entries = event.step_output_data.metadata
    return {name: entry.value for name, entry in entries.items()}


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """What was evaluated in a run, by the check's name."""
    said = [
        event.event_specific_data
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    found = {one.check_name: one for one in said if isinstance(one, dg.AssetCheckEvaluation)}
    assert len(found) == len(said), "each is evaluated once"
    return found


def everything_stored(instance: dg.DagsterInstance, run_id: str) -> str:
    """Every event, log line, error and metadata value that is kept of a run, as text."""
    records = instance.get_records_for_run(run_id, limit=10_000).records
    return "\n".join(repr(record.event_log_entry) for record in records)
