"""Contracts: exact columns and types of a table, and the rules each of its rows must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmtwin.errors import ModelError
from llmtwin.staging.model import ModelOutput, Rejected
from llmtwin.staging.project import TableSpec

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_schema(spec: TableSpec) -> pa.Schema:
    """Return the Arrow schema a contract declares.

    Raises:
        ModelError: A column has a data type this framework does not know.
    """
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "float[]": pa.list_(pa.float32()),
        "uinteger[]": pa.list_(pa.uint32()),
    }
    unknown = [column.name for column in spec.columns if column.data_type not in types]
    if unknown:
        raise ModelError(f"{spec.name}: unknown data_type of {', '.join(unknown)}; there are: {', '.join(types)}")
    return pa.schema([pa.field(column.name, types[column.data_type]) for column in spec.columns])


def to_table(spec: TableSpec, output: ModelOutput) -> pa.Table:
    """Bring a model's output into the shape of its contract.

    Raises:
        ModelError: The output has a column too many, or a type that cannot become the declared one: an error in the
            model, not in a row.
    """
    import pyarrow as pa

    schema = arrow_schema(spec)
    surplus = {name for row in output.rows for name in row} | set(output.columns)
    surplus -= set(schema.names)
    if surplus and spec.config.contract.enforced:
        raise ModelError(f"{spec.name} returned columns its contract does not have: {', '.join(sorted(surplus))}")
    try:
        arrays = []
        for column in schema:
            if column.name in output.columns:
                arrays.append(pa.array(output.columns[column.name]).cast(column.type))
            else:
                arrays.append(pa.array([_plain(row.get(column.name)) for row in output.rows], type=column.type))
        return pa.Table.from_arrays(arrays, schema=schema)
    except (pa.ArrowException, TypeError) as error:
        raise ModelError(f"{spec.name}: column {column.name} is no {column.type}: {error}") from error


def split_rows(spec: TableSpec, table: pa.Table) -> tuple[pa.Table, list[Rejected]]:
    """Return the rows that keep every constraint, and the others with the names of those they break."""
    import duckdb
    import pyarrow as pa

    rules = _rules(spec)
    if not rules or table.num_rows == 0:
        return table, []
    # A rule that evaluates to NULL (a check on an empty column) is kept, as SQL's CHECK keeps it.
    broken = ", ".join(
        f"CASE WHEN NOT coalesce(({rule}), true) THEN '{_quoted(name)}' END" for name, rule in rules.items()
    )
    with duckdb.connect() as database:
        database.register("this", table)
        reasons = database.sql(f"SELECT concat_ws('; ', {broken}) AS reason FROM this").to_arrow_table()["reason"]
    bad = [(number, reason.as_py()) for number, reason in enumerate(reasons) if reason.as_py()]
    if not bad:
        return table, []
    rejected = [Rejected(table.slice(number, 1).to_pylist()[0], reason) for number, reason in bad]
    numbers = {number for number, _ in bad}
    keep = pa.array([number not in numbers for number in range(table.num_rows)])
    return table.filter(keep), rejected


def _rules(spec: TableSpec) -> dict[str, str]:
    rules = {}
    for column in spec.columns:
        for constraint in column.constraints:
            if constraint.type == "not_null":
                rules[f"{column.name} is null"] = f'"{column.name}" IS NOT NULL'
            elif constraint.expression:
                rules[constraint.name or f"{column.name}: not {constraint.expression}"] = constraint.expression
    for constraint in spec.constraints:
        if constraint.expression:
            rules[constraint.name or f"not {constraint.expression}"] = constraint.expression
    return rules


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _plain(value: Any) -> Any:
    from enum import Enum
    from uuid import UUID

    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, UUID) else value
