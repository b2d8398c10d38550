"""`docs/metrics.md` says what is: its keys are those of the code, its queries can be run."""

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.metrics import GROUPS, PLOTTED, RunMetrics, metric_types
from batch_assets.store.metrics import Metrics

DOCUMENT = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)


def test_every_key_of_every_asset_stands_in_it_as_it_is() -> None:
    for name, group in GROUPS.items():
        section = DOCUMENT.partition(f"### `{name}`\n")[2].partition("\n#")[0]
        written = dict(re.findall(r"^\| `(\w+)` \| (.+)\. \|$", section, re.MULTILINE))
        (plotted,) = re.findall(r"^Plotted: (.*?)\.$", section, re.MULTILINE | re.DOTALL)
        assert tuple(re.findall(r"`(\w+)`", plotted)) == PLOTTED[name]
        assert written == {one.name: metric_types()[one.name].meaning for one in fields(group)}


def test_its_queries_give_rows(engine: Engine) -> None:
    known = RunMetrics(run_id="run-1", recorded_at=datetime.now(UTC), mode="optimized")
    Metrics(engine).record(known, None, run_seconds=1, account="an account")
    with engine.begin() as connection:
        connection.execute(text("UPDATE batch_assets.run_metric SET refused_rows = 1"))
        found = [connection.execute(text(query)).all() for query in QUERIES]
    assert len(found) == 3
    assert [len(rows) for rows in found] == [1, 1, 1]


@pytest.mark.parametrize("asset", ["turnaround_report", "cost_report", "query_comparison_report"])
def test_every_chart_stands_in_it(asset: str) -> None:
    assert f"| `{asset}` |" in DOCUMENT
