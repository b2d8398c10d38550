"""The definitions as Dagster loads them."""

import subprocess
import sys
from dataclasses import fields

import dagster as dg
import pytest

from batch_assets.definitions import build_definitions, defs
from batch_assets.domain.alerts.rules import RULES
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.metrics import GROUPS
from batch_assets.stages.run_state import STAGES

OPS = {
    "check_batch_statuses",
    "check_row_conservation",
    "delete_batch_files",
    "evaluate_checks",
    "fetch_pending_requests",
    "ingest_results",
    "load_companies",
    "record_metrics",
    "retry_failed_requests",
    "submit_batches",
}


@pytest.fixture(scope="module")
def job() -> dg.JobDefinition:
    return defs.resolve_job_def("batch_processing_job")


def test_they_name_every_job_schedule_sensor_and_resource() -> None:
    repository = defs.get_repository_def()
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    assert jobs == {
        "abandon_batch_job",
        "assign_account_job",
        "audit_job",
        "batch_processing_job",
        "cancel_batch_job",
        "choose_mode_job",
        "compare_queries_job",
        "drain_job",
        "flex_job",
        "force_batch_job",
        "prune_job",
        "refresh_companies_job",
        "reset_stages_job",
        "report_job",
        "requeue_job",
        "reset_breakers_job",
        "set_budget_job",
    }
    assert {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs} == {
        "audit_schedule": "17 3 * * *",
        "batch_processing_schedule": "*/2 * * * *",
        "flex_schedule": "*/2 * * * *",
        "prune_schedule": "47 3 * * *",
        "report_schedule": "7 * * * *",
    }
    assert set(repository.get_top_level_resources()) == {
        "company_lookup",
        "database",
        "openai",
        "pipeline",
        "query_strategy",
        "wiring",
    }
    assert {sensor.name: sensor.minimum_interval_seconds for sensor in repository.sensor_defs} == {
        "backlog_sensor": 30,
        "completion_sensor": 60,
        "failure_sensor": 15,
    }


def test_they_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)


def test_they_load_with_an_empty_environment_and_start_nothing() -> None:
    program = (
        "import sys, batch_assets.definitions; "
        "slow = ('batch_assets_local', 'batch_assets.assets.report_charts', 'matplotlib'); "
        "print([name for name in sys.modules if name.startswith(slow)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_is_watched_is_described_and_its_checks_are_known() -> None:
    graph = defs.resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    assert {name: node.group_name for name, node in nodes.items()} == {
        **dict.fromkeys(["livedash_sessions", "livedash_requests"], "livedash"),
        **dict.fromkeys(
            ["batches", "analyses", "query_measurements", "row_conservation", "server_orphans"],
            "batch_processing",
        ),
        **dict.fromkeys([*GROUPS, "overview"], "metrics"),
        "turnaround_report": "reports",
        "cost_report": "reports",
        "query_comparison_report": "reports",
    }
    for node in nodes.values():
        assert node.description
        team = "livedash" if node.group_name == "livedash" else "batch-assets"
        assert node.owners == [f"team:{team}"]
        assert "batch_assets/kind" in node.tags
        assert any(tag.startswith("dagster/kind/") for tag in node.tags)
    alone = {name for name, node in nodes.items() if not node.parent_keys and not node.child_keys}
    assert not alone, "all are in one picture"
    assert {key.to_user_string() for key in nodes["overview"].parent_keys} == set(GROUPS)
    for name, group in GROUPS.items():
        description = nodes[name].description or ""
        assert all(f"`{one.name}`" in description for one in fields(group))
    assert {check.name for check in graph.asset_check_keys} == {
        "open_rows_conserved",
        "all_rows_conserved",
        *RULES,
    }
    checks = [graph.get(key) for key in graph.asset_check_keys]
    assert all(check.description for check in checks)


def test_whatever_is_started_runs_in_one_process() -> None:
    repository = defs.get_repository_def()
    assert {job.executor_def.name for job in repository.get_all_jobs()} == {"in_process"}


def test_the_job_has_two_branches_that_share_nothing(job: dg.JobDefinition) -> None:
    edges = {
        node.name: {
            handle.node_name
            for handles in job.graph.dependency_structure.input_to_upstream_outputs_for_node(
                node.name
            ).values()
            for handle in handles
        }
        for node in job.nodes
    }
    assert edges == {
        "check_batch_statuses": set(),
        "ingest_results": {"check_batch_statuses"},
        "retry_failed_requests": {"ingest_results"},
        "load_companies": set(),
        "fetch_pending_requests": {"load_companies"},
        "submit_batches": {"fetch_pending_requests"},
        "record_metrics": set(STAGES),
        "check_row_conservation": {"record_metrics"},
        "evaluate_checks": {"check_row_conservation"},
        "delete_batch_files": {"retry_failed_requests", "submit_batches"},
    }


def test_every_op_says_what_it_does(job: dg.JobDefinition) -> None:
    ops = {node.name: node.definition.description for node in job.nodes}
    assert set(ops) == OPS
    assert all(ops.values())


def test_a_launchpad_shows_one_field_of_the_resources_and_no_key_or_address() -> None:
    resources = defs.get_repository_def().get_top_level_resources()
    fields = {name: resource_fields(resource) for name, resource in resources.items()}
    assert {name: set(found) for name, found in fields.items() if found} == {
        "query_strategy": {"mode"}
    }
    mode = fields["query_strategy"]["mode"]
    assert (mode.default_value, mode.is_required) == ("environment", False)
    assert mode.description
    assert isinstance(mode.config_type, dg.Enum)
    assert mode.config_type.config_values == [
        "environment",
        *("true", "auto"),
        *("false", "original"),
        "optimized",
    ]
    assert all(resource.description for resource in resources.values())


def resource_fields(resource: dg.ResourceDefinition) -> dict[str, dg.Field]:
    schema = resource.config_schema
    assert schema.default_provided
    return dict(schema.config_type.fields)  # type: ignore[union-attr] # a Shape


def test_the_job_outlasts_the_budgets_of_its_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_OP_SECONDS", "100")
    job = build_definitions().resolve_job_def("batch_processing_job")
    assert job.run_tags == {
        ".dagster/batch_assets_exclusive": "batch_processing_job",
        ".dagster/batch_assets_watched": "true",
        "dagster/max_runtime": "1880",
    }


def test_the_cron_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SCHEDULE", "*/15 6-20 * * *")
    schedule = build_definitions().resolve_schedule_def("batch_processing_schedule")
    assert schedule.cron_schedule == "*/15 6-20 * * *"


def test_the_sensors_intervals_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_BACKLOG_CHECK_SECONDS", "5")
    monkeypatch.setenv("BATCH_COMPLETION_CHECK_SECONDS", "300")
    definitions = build_definitions()
    assert definitions.resolve_sensor_def("backlog_sensor").minimum_interval_seconds == 5
    assert definitions.resolve_sensor_def("completion_sensor").minimum_interval_seconds == 300


@pytest.mark.parametrize("cron", ["every minute", "* * * *", "99 * * * *"])
def test_a_wrong_cron_is_named(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    monkeypatch.setenv("BATCH_SCHEDULE", cron)
    with pytest.raises(ConfigurationError) as caught:
        build_definitions()
    assert str(caught.value) == (
        f"BATCH_SCHEDULE is '{cron}': it must be a cron expression with five fields, "
        "such as */2 * * * *."
    )


def test_a_wrong_setting_keeps_them_from_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_MIN_SIZE", "ten")
    with pytest.raises(ConfigurationError, match="BATCH_MIN_SIZE is 'ten'"):
        build_definitions()
