"""The rights of the role that runs: enough for every statement, none too many, as in the docs."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Engine, TextClause, text

from batch_assets import store
from batch_assets.domain.errors import (
    ConfigurationError,
    DatabaseUnavailableError,
    MigrationsMissingError,
    RightMissingError,
)
from batch_assets.project_files import PROJECT_DIR
from batch_assets.resources.dagster_storage import make_dagster_tables
from batch_assets.store.dagster_schema import (
    create_dagster_schema,
    left_of_dagster,
    require_dagster_schema,
)
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import downgrade, require_suitable, upgrade
from batch_assets.store.migrating.grants import grant, require_role
from batch_assets.store.migrating.project import head_revision
from batch_assets.store.registry import Registry
from batch_assets.store.rights import LIVEDASH_RIGHTS, OWN_RIGHTS, missing_rights
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.roles import Roles, livedash_with_roles

DOCS = (PROJECT_DIR / "docs" / "rights.md").read_text(encoding="utf-8")
GIVEN = """
    SELECT n.nspname || '.' || c.relname AS place, x.privilege_type
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN aclexplode(c.relacl) AS x WHERE x.grantee = '{runner}'::regrole
    UNION ALL
    SELECT c.attrelid::regclass || '.' || c.attname, x.privilege_type
    FROM pg_attribute AS c CROSS JOIN aclexplode(c.attacl) AS x
    WHERE x.grantee = '{runner}'::regrole
    UNION ALL
    SELECT n.nspname, x.privilege_type
    FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS x
    WHERE x.grantee = '{runner}'::regrole AND n.nspname <> 'public'
    UNION ALL
    SELECT n.nspname || d.defaclobjtype::text, x.privilege_type
    FROM pg_default_acl AS d JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
    CROSS JOIN aclexplode(d.defaclacl) AS x WHERE x.grantee = '{runner}'::regrole
"""


def nobody_reads(_sentence: str) -> None:
    pass


@contextmanager
def migrated_by_a_role(databases: TestDatabases) -> Iterator[Roles]:
    """LiveDash's database, migrated by one role; the other has no rights."""
    url = databases.create()
    with livedash_with_roles(url) as roles:
        migrator = roles.url("migrator")
        upgrade(migrator)
        create_dagster_schema(migrator)
        make_dagster_tables(migrator)
        yield roles
    databases.drop(url)


@pytest.fixture(scope="module")
def granted(databases: TestDatabases) -> Iterator[Roles]:
    """LiveDash's database, migrated by one role, and the rights given to another."""
    with migrated_by_a_role(databases) as roles:
        grant(roles.url("migrator"), roles.name("runner"), nobody_reads)
        yield roles


@pytest.fixture
def engine(granted: Roles) -> Iterator[Engine]:
    """The product's engine, as the role that runs."""
    opened = open_engine(granted.url("runner"))
    yield opened
    opened.dispose()


def statements() -> dict[str, str]:
    """All statements of whoever runs, by module and name; each parameter is null, or 1."""
    found = {}
    for module in pkgutil.walk_packages(store.__path__, "batch_assets.store."):
        # Of the rights themselves the catalog is asked, which everybody may.
        if ".migrating" not in module.name and not module.name.endswith(".rights"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Mapping):
                    for name, one in value.items():
                        if isinstance(one, TextClause):
                            found[f"{module.name} {name}"] = one.text
    return found


def is_refused(connection: psycopg.Connection, statement: str) -> bool:
    """Whether a right is missing for a statement, which is planned and not run."""
    if statement.startswith("COPY"):
        try:
            with connection.cursor() as cursor, cursor.copy(statement.encode()):
                return False
        except errors.InsufficientPrivilege:
            return True
    planned = ""
    for value in ("NULL", "1"):
        planned = re.sub(
            r"(?<!:):(?=[a-z_])\w+", value, re.sub(r"FIRST :\w+", "FIRST 1", statement)
        )
        try:
            connection.execute(f"EXPLAIN {planned}".encode())
        except errors.InsufficientPrivilege:
            return True
        except errors.DatatypeMismatch:
            continue
        return False
    raise AssertionError(f"cannot be planned: {statement}")


@pytest.fixture
def runner(granted: Roles) -> Iterator[psycopg.Connection]:
    with psycopg.connect(granted.url("runner"), autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog")
        yield connection


def test_every_statement_may_be_run(runner: psycopg.Connection) -> None:
    every = statements()
    assert len(every) > 200
    assert [name for name, one in every.items() if is_refused(runner, one)] == []


def test_none_is_given_that_no_statement_needs(granted: Roles, runner: psycopg.Connection) -> None:
    every = list(statements().values())
    unneeded = []
    rights = [
        *((f'public."{table}"', words) for table, words in LIVEDASH_RIGHTS.items()),
        *((f"batch_assets.{table}", words) for table, words in OWN_RIGHTS.items()),
    ]
    for place, words in rights:
        naming = [one for one in every if re.search(rf"{re.escape(place)}(?!\w)", one)]
        for word in re.split(r"\s+", words):
            given = re.sub(r"\((\w+)\)", r" (\1)", word)
            granted.do(f"REVOKE {given} ON {place} FROM {{runner}}")
            try:
                if not any(is_refused(runner, one) for one in naming):
                    unneeded.append((place, word))
            finally:
                granted.do(f"GRANT {given} ON {place} TO {{runner}}")
    # These are built by SQLAlchemy: whether the database is migrated, and a run's metrics.
    assert unneeded == [
        ("batch_assets.alembic_version", "SELECT"),
        ("batch_assets.run_metric", "INSERT"),
        ("batch_assets.run_metric", "UPDATE"),
    ]


def test_a_password_of_livedash_cannot_be_read(runner: psycopg.Connection) -> None:
    assert not is_refused(runner, 'SELECT id, name, status FROM public."Company"')
    for columns in ("*", '"csvPassword"', '"csvUsername"'):
        assert is_refused(runner, f'SELECT {columns} FROM public."Company"')
    assert is_refused(runner, 'DELETE FROM public."AIProcessingRequest"')


def test_what_the_docs_list_is_what_is_given_and_goes_again(
    granted: Roles, databases: TestDatabases
) -> None:
    def given(roles: Roles) -> list[tuple[object, ...]]:
        with psycopg.connect(roles.admin_url) as connection:
            name = '"' + roles.name("runner") + '"'
            rows = connection.execute(GIVEN.replace("{runner}", name).encode()).fetchall()
        return sorted(rows)

    with migrated_by_a_role(databases) as roles:
        type_block(roles, 1)
        type_block(roles, 2)
        engine = open_engine(roles.url("runner"))
        with engine.connect() as looked:
            assert missing_rights(looked) == []
        engine.dispose()
        typed, granted_here = given(roles), given(granted)
        take_back(roles)
    assert typed == granted_here
    assert len(typed) > 100


def type_block(roles: Roles, number: int) -> None:
    """Type what the docs say, as a superuser; the roles are there."""
    block = re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL)[number]
    for line in block.split(";"):
        if line.strip() and "ROLE batch_runner LOGIN" not in line:
            quoted = re.sub(r"\bbatch_(runner|migrator)\b", r"{\1}", line)
            roles.do(quoted.replace("DATABASE livedash", "DATABASE {database}"))


def take_back(roles: Roles) -> None:
    """As the docs say, until the role can be dropped."""
    migrator, runner = roles.url("migrator"), roles.name("runner")
    downgrade(migrator, "base")
    left = left_of_dagster(migrator)
    assert left is not None
    assert f'rights of "{runner}"' in left
    type_block(roles, 3)
    assert "rights of" not in (left_of_dagster(migrator) or "rights of")
    type_block(roles, 4)
    assert left_of_dagster(migrator) is None
    roles.do("DROP ROLE {runner}")
    roles.do("CREATE ROLE {runner}")


def test_who_runs_is_told_that_another_role_migrates(granted: Roles, engine: Engine) -> None:
    granted.do("UPDATE batch_assets.alembic_version SET version_num = '0009'")
    migrator = open_engine(granted.url("migrator"))
    try:
        with pytest.raises(MigrationsMissingError, match="migrate` as the role that migrates"):
            require_suitable(engine)
        with pytest.raises(MigrationsMissingError, match=r"run `batch-assets migrate`\.$"):
            require_suitable(migrator)
    finally:
        granted.do(f"UPDATE batch_assets.alembic_version SET version_num = '{head_revision()}'")
        migrator.dispose()


def test_what_is_made_later_may_be_used(granted: Roles, runner: psycopg.Connection) -> None:
    with psycopg.connect(granted.url("migrator")) as migrator:
        for schema in ("batch_assets", "dagster"):
            migrator.execute(f"CREATE TABLE {schema}.later (id serial, a text)".encode())
    try:
        runner.execute("INSERT INTO dagster.later (a) VALUES ('x')")
        for schema in ("batch_assets", "dagster"):
            for statement in ("INSERT INTO {}(id) VALUES (1)", "UPDATE {} SET a = 'y'"):
                runner.execute(statement.format(f"{schema}.later").encode())
            runner.execute(f"DELETE FROM {schema}.later".encode())
    finally:
        granted.do("DROP TABLE batch_assets.later, dagster.later")


def test_who_runs_can_make_nothing(granted: Roles, runner: psycopg.Connection) -> None:
    for schema in ("public", "batch_assets", "dagster"):
        with pytest.raises(errors.InsufficientPrivilege):
            runner.execute(f"CREATE TABLE {schema}.mine (id text)".encode())
    with pytest.raises(RightMissingError) as refused:
        upgrade_again(granted)
    said = str(refused.value)
    assert "must be owner" not in said
    # And of the table provenance, which migrations alone read.
    assert (
        f"ownership of the {len(OWN_RIGHTS) + 1} tables of batch_assets "
        'and of public."AIProcessingRequest"): use'
    ) in said
    assert said.count("ownership") == 1


def upgrade_again(roles: Roles) -> None:
    roles.do("UPDATE batch_assets.alembic_version SET version_num = '0009'")
    try:
        upgrade(roles.url("runner"))
    finally:
        roles.do(f"UPDATE batch_assets.alembic_version SET version_num = '{head_revision()}'")


LACKING = {
    'SELECT ON public."Message"': 'SELECT on public."Message"',
    'SELECT (id) ON public."Company"': r'SELECT \(id\) on public."Company"',
    "SELECT ON batch_assets.installation": "SELECT on batch_assets.installation",
    "SELECT ON batch_assets.alembic_version": "SELECT on batch_assets.alembic_version",
    "USAGE ON SCHEMA batch_assets": "USAGE on schema batch_assets",
}


@pytest.mark.parametrize("right", LACKING)
def test_a_missing_right_is_named(granted: Roles, engine: Engine, right: str) -> None:
    granted.do(f"REVOKE {right} FROM {{runner}}")
    try:
        with pytest.raises(RightMissingError, match=LACKING[right]) as raised:
            look(engine)
    finally:
        granted.do(f"GRANT {right} TO {{runner}}")
    assert f"migrate --grant-to {granted.name('runner')}`" in str(raised.value)
    assert "permission denied" not in str(raised.value)
    look(engine)


def look(engine: Engine) -> None:
    require_suitable(engine)
    Registry(engine, external_quiet_seconds=900).installation()
    with engine.connect() as connection:
        connection.execute(text('SELECT m.id FROM public."Message" AS m'))


def test_a_right_on_dagsters_tables_is_named(granted: Roles) -> None:
    for right, said in {
        "INSERT ON dagster.runs": "INSERT on dagster.runs",
        "USAGE ON SCHEMA dagster": "USAGE on schema dagster",
        "USAGE ON SEQUENCE dagster.runs_id_seq": "USAGE on sequence dagster.runs_id_seq",
    }.items():
        granted.do(f"REVOKE {right} FROM {{runner}}")
        try:
            with pytest.raises(RightMissingError, match=said):
                require_dagster_schema(granted.url("runner"))
        finally:
            granted.do(f"GRANT {right} TO {{runner}}")
    require_dagster_schema(granted.url("runner"))


def test_a_table_whose_rows_a_policy_hides_is_named(granted: Roles, engine: Engine) -> None:
    granted.do('ALTER TABLE public."Message" ENABLE ROW LEVEL SECURITY')
    try:
        with pytest.raises(RightMissingError, match=r'security on public\."Message".*BYPASSRLS'):
            look(engine)
        told: list[str] = []
        grant(granted.url("migrator"), granted.name("runner"), told.append)
        assert "it had them all" in told[0]
        assert "BYPASSRLS" in told[1]
        granted.do("ALTER ROLE {runner} BYPASSRLS")
        look(engine)
    finally:
        granted.do("ALTER ROLE {runner} NOBYPASSRLS")
        granted.do('ALTER TABLE public."Message" DISABLE ROW LEVEL SECURITY')


def test_what_is_none_of_our_rights_is_not_made_up(granted: Roles, engine: Engine) -> None:
    granted.do("CREATE TABLE public.theirs (id text)")
    try:
        with (
            pytest.raises(RightMissingError, match="the server's log names"),
            engine.connect() as connection,
        ):
            connection.execute(text("SELECT t.id FROM public.theirs AS t"))
    finally:
        granted.do("DROP TABLE public.theirs")


def test_who_may_not_give_them_gives_none(granted: Roles) -> None:
    granted.do('REVOKE SELECT ON public."Message" FROM {runner}')
    granted.do("REVOKE {owner} FROM {migrator}")
    try:
        with pytest.raises(RightMissingError, match="may not give SELECT on public"):
            grant(granted.url("migrator"), granted.name("runner"), nobody_reads)
    finally:
        granted.do("GRANT {owner} TO {migrator}")
    told: list[str] = []
    grant(granted.url("migrator"), granted.name("runner"), told.append)
    assert told[0].endswith("1 GRANT")


def test_a_role_that_there_is_not_is_refused(granted: Roles) -> None:
    with pytest.raises(ConfigurationError, match='no role "nobody"'):
        require_role(granted.url("migrator"), "nobody")


def test_a_login_that_is_not_allowed_is_a_sentence(granted: Roles) -> None:
    granted.do("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC, {runner}")
    engine = open_engine(granted.url("runner"))
    try:
        with pytest.raises(DatabaseUnavailableError, match="--grant-to"):
            require_suitable(engine)
        grant(granted.admin_url, granted.name("runner"), nobody_reads)
        require_suitable(engine)
    finally:
        granted.do("GRANT CONNECT ON DATABASE {database} TO PUBLIC, {runner}")
        engine.dispose()
