"""Which tables a section of the configuration reads, besides the one it is about."""

from __future__ import annotations

from headrace.config.sql.expressions import tables
from headrace.config.types import Pipeline, Table


def tables_in(table: Table) -> tuple[str, ...]:
    """Tables named in subqueries of a table's columns and rules, sorted."""
    expressions = [*table.columns.values(), *(rule.check for rule in table.rules)]
    return tuple(sorted({name.lower() for sql in expressions for name in tables(sql)}))


def in_order(pipeline: Pipeline) -> tuple[str, ...]:
    """The tables, each after those that it reads; a cycle has been refused when the file was read."""
    ordered: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in ordered or name in above:
            return
        for other in tables_in(pipeline.tables[name]):
            if other in pipeline.tables:
                visit(other, (*above, name))
        ordered.append(name)

    for name in pipeline.tables:
        visit(name, ())
    return tuple(ordered)
