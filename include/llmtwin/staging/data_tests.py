"""Table-level tests in dbt's words, run as DuckDB SQL: each selects the rows that should not be there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmtwin.errors import ModelError
from llmtwin.staging.project import DataTest, TableSpec

if TYPE_CHECKING:
    import pyarrow as pa

_REF = re.compile(r"""^(?:ref|source)\(\s*['"](?:\w+['"]\s*,\s*['"])?(\w+)['"]\s*\)$""")


@dataclass(frozen=True)
class TestResult:
    """How one test went."""

    __test__ = False  # not a test of ours, whatever pytest thinks of its name

    name: str
    status: str
    """``pass`` or ``fail``."""
    failures: int
    """Rows that should not be there."""
    execution_time: float
    """Seconds."""
    sql: str


def run_data_tests(spec: TableSpec, tables: Mapping[str, pa.Table]) -> list[TestResult]:
    """Run all tests of a table.

    Args:
        spec: Whose tests.
        tables: The table itself under its name, and those its ``relationships`` tests refer to.

    Raises:
        ModelError: A test has an unknown name, or refers to a table that is not there.
    """
    import duckdb

    results = []
    with duckdb.connect() as database:
        for name, table in tables.items():
            database.register(name, table)
        for name, sql in test_queries(spec):
            started = time.perf_counter()
            try:
                row = database.execute(f"SELECT count(*) FROM ({sql})").fetchone()
            except duckdb.Error as error:
                raise ModelError(f"test {name} cannot run: {error}") from error
            failures = int(row[0]) if row else 0
            elapsed = time.perf_counter() - started
            results.append(TestResult(name, "fail" if failures else "pass", failures, elapsed, sql))
    return results


def test_queries(spec: TableSpec) -> Iterator[tuple[str, str]]:
    """Yield name and SQL of every test of a table."""
    for test in spec.data_tests:
        yield _query(spec.name, None, test)
    for column in spec.columns:
        for test in column.data_tests:
            yield _query(spec.name, column.name, test)


def _query(table: str, column: str | None, test: DataTest) -> tuple[str, str]:
    kind, arguments = (test, {}) if isinstance(test, str) else next(iter(test.items()))
    name = "_".join(filter(None, [kind, table, column, arguments.get("name")]))
    match kind, column:
        case "unique", str():
            return name, f'SELECT "{column}" FROM {table} WHERE "{column}" IS NOT NULL GROUP BY 1 HAVING count(*) > 1'
        case "not_null", str():
            return name, f'SELECT * FROM {table} WHERE "{column}" IS NULL'
        case "accepted_values", str():
            values = ", ".join(_literal(value) for value in arguments["values"])
            return name, f'SELECT * FROM {table} WHERE "{column}" NOT IN ({values})'
        case "relationships", str():
            to = _REF.match(arguments["to"])
            if not to:
                raise ModelError(f"test {name}: `to` must be ref('…') or source('…', '…'), not {arguments['to']!r}")
            field = arguments["field"]
            return name, (
                f'SELECT * FROM {table} WHERE "{column}" IS NOT NULL '
                f'AND "{column}" NOT IN (SELECT "{field}" FROM {to[1]})'
            )
        case "unique_combination_of_columns", None:
            columns = ", ".join(f'"{part}"' for part in arguments["combination_of_columns"])
            return name, f"SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1"
        case "expression_is_true", _:
            return name, f"SELECT * FROM {table} WHERE NOT ({arguments['expression']})"
        case "no_rows", None:
            return name, arguments["query"].replace("{{ this }}", table)
    raise ModelError(f"{table}: unknown data test {kind!r}")


def _literal(value: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'" if isinstance(value, str) else str(value)
