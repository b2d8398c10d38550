"""Each query of the dashboard runs on our tables, by a role with the rights beside it."""

import json
import re
from collections.abc import Iterator
from typing import Any, LiteralString, cast

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, make_url

from batch_assets.project_files import PROJECT_DIR

GRAFANA = PROJECT_DIR / "deploy" / "grafana"
MACROS = {
    r"\$__timeFilter\(([^)]+)\)": r"\1 BETWEEN now() - interval '1 day' AND now()",
    r"\$__timeGroupAlias\(([^,]+), \$__interval, 0\)": (
        r'floor(extract(epoch FROM \1) / 60) * 60 AS "time"'
    ),
}
"""What Grafana's source for PostgreSQL makes of these."""


def panels() -> list[dict[str, Any]]:
    document = json.loads((GRAFANA / "dashboard.json").read_text(encoding="utf-8"))
    return list(document["panels"])


@pytest.fixture(scope="module")
def reader(module_engine: Engine) -> Iterator[psycopg.Connection]:
    """The role of `rights.sql` on a migrated database."""
    admin_url = module_engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    role = f"{make_url(admin_url).database}-grafana"
    script = (GRAFANA / "rights.sql").read_text(encoding="utf-8")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(script.replace("batch_grafana", f'"{role}"').encode())
        url = make_url(admin_url).set(username=role).render_as_string(hide_password=False)
        with psycopg.connect(url) as connection:
            yield connection
        named = sql.Identifier(role)
        admin.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=named))


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_its_queries_run(panel: dict[str, Any], reader: psycopg.Connection) -> None:
    (target,) = panel["targets"]
    statement = target["rawSql"]
    for macro, meant in MACROS.items():
        statement = re.sub(macro, meant, statement)
    assert "$" not in statement
    found = reader.execute(cast("LiteralString", statement))
    columns = [column.name for column in found.description or ()]
    reader.rollback()
    if panel["type"] == "timeseries":
        assert columns[0] == "time"
    assert len(columns) >= (2 if panel["type"] == "timeseries" else 1)


def test_no_two_panels_lie_on_each_other() -> None:
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
