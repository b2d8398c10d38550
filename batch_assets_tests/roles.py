"""Roles of their own for a test's database: who owns LiveDash's tables, who migrates, who runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from batch_assets_tests.databases import LIVEDASH_BY_PRISMA

KINDS = ("owner", "migrator", "runner")


@dataclass(frozen=True)
class Roles:
    """The roles of one database; none is a superuser, and only `owner` owns LiveDash's tables."""

    admin_url: str

    def name(self, kind: str) -> str:
        """The name of a role, which has to be quoted."""
        return f"{make_url(self.admin_url).database}-{kind}"

    def url(self, kind: str) -> str:
        """The database's URL for a role."""
        url = make_url(self.admin_url).set(username=self.name(kind))
        return url.render_as_string(hide_password=False)

    def do(self, statement: str) -> None:
        """Run a statement of a superuser, in which `{runner}` and the like are the roles."""
        names = {kind: sql.Identifier(self.name(kind)) for kind in KINDS}
        names["database"] = sql.Identifier(str(make_url(self.admin_url).database))
        with psycopg.connect(self.admin_url) as connection:
            connection.execute(sql.SQL(statement).format(**names))


@contextmanager
def livedash_with_roles(empty_database_url: str) -> Iterator[Roles]:
    """LiveDash's tables, made by their owner, and the roles; who migrates may what the docs say."""
    roles = Roles(empty_database_url)
    for kind in KINDS:
        roles.do(f"CREATE ROLE {{{kind}}} LOGIN")
    try:
        roles.do("GRANT CREATE ON SCHEMA public TO {owner}, {migrator}")
        roles.do("GRANT CREATE ON DATABASE {database} TO {migrator}")
        roles.do("GRANT {owner} TO {migrator}")
        with psycopg.connect(roles.url("owner")) as connection:
            connection.execute(LIVEDASH_BY_PRISMA.read_bytes())
        yield roles
    finally:
        roles.do("DROP OWNED BY {runner}, {migrator}, {owner} CASCADE")
        roles.do("DROP ROLE {runner}, {migrator}, {owner}")
