"""What a database holds, definitions and rows, in a form that two moments can be compared in."""

import psycopg
from psycopg import sql

Snapshot = dict[str, frozenset[tuple[object, ...]]]

_DEFINITIONS = {
    "schemas": """
        SELECT n.nspname, n.nspacl::text
        FROM pg_namespace AS n
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    """,
    "tables": """
        SELECT c.relname, c.relkind, c.relpersistence, c.reloptions::text, c.relacl::text,
            c.relowner, c.relreplident, c.relrowsecurity, obj_description(c.oid, 'pg_class')
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'S', 'm')
    """,
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attacl::text
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    """,
    "indexes": """
        SELECT i.indrelid::regclass::text, c.relname, pg_get_indexdef(c.oid),
            i.indisvalid AND i.indisready
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace
    """,
    "constraints": """
        SELECT k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid), k.convalidated
        FROM pg_constraint AS k
        WHERE k.connamespace = 'public'::regnamespace AND k.contype <> 'n'
    """,
    "triggers": """
        SELECT t.tgrelid::regclass::text, t.tgfoid::regproc::text, t.tgtype, t.tgenabled, count(*)
        FROM pg_trigger AS t
        JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'public'::regnamespace
        GROUP BY 1, 2, 3, 4
    """,
    "enums": """
        SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)::text
        FROM pg_enum AS e
        JOIN pg_type AS t ON t.oid = e.enumtypid
        GROUP BY t.typname
    """,
}


Shape = dict[str, dict[str, dict[str, str]]]
"""By table: its columns, indexes and constraints, each by its name with its definition."""

_SHAPE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
            || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
            || a.attidentity::text || a.attgenerated::text
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    """,
    "indexes": """
        SELECT t.relname, c.relname, pg_get_indexdef(c.oid)
            || CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' invalid' END
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_class AS t ON t.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace
    """,
    "constraints": """
        SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
        FROM pg_constraint AS k
        JOIN pg_class AS c ON c.oid = k.conrelid
        WHERE k.connamespace = 'public'::regnamespace AND k.contype <> 'n'
    """,
    "enums": """
        SELECT 'enums', t.typname, string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
        FROM pg_enum AS e
        JOIN pg_type AS t ON t.oid = e.enumtypid
        WHERE t.typnamespace = 'public'::regnamespace
        GROUP BY t.typname
    """,
}


def shape(url: str) -> Shape:
    """What Prisma compares a database by; the order of columns is nothing that it sees.

    Enum types stand under the name `enums`, as if they were a table.
    """
    found: Shape = {}
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path = pg_catalog")
        for kind, query in _SHAPE.items():
            for table, name, definition in connection.execute(query.encode()):
                found.setdefault(table, {}).setdefault(kind, {})[name] = definition
    return found


def snapshot(url: str) -> Snapshot:
    """The definitions in `public`, a fingerprint of each of its tables' rows, and the schemas."""
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path = pg_catalog")
        found: Snapshot = {
            kind: frozenset(connection.execute(query.encode()).fetchall())
            for kind, query in _DEFINITIONS.items()
        }
        tables = [str(name) for name, kind, *_ in found["tables"] if kind == "r"]
        found["rows"] = frozenset((table, _fingerprint(connection, table)) for table in tables)
    return found


def changes(before: Snapshot, after: Snapshot) -> set[tuple[object, ...]]:
    """What is in one of the two only, each led by its kind."""
    return {
        (kind, *item) for kind in before for item in before[kind].symmetric_difference(after[kind])
    }


def _fingerprint(connection: psycopg.Connection, table: str) -> object:
    query = sql.SQL("SELECT count(*), md5(string_agg(r::text, '' ORDER BY r::text)) FROM {} AS r")
    return connection.execute(query.format(sql.Identifier("public", table))).fetchone()
