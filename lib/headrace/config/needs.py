"""Which tables a section of the configuration reads, besides the one it is about."""

from __future__ import annotations

from headrace.config.rules import Rule
from headrace.config.sql.expressions import tables
from headrace.config.types import Pipeline, Table


def asked(rule: Rule) -> set[str]:
    """Tables that a rule asks: those in subqueries of its check, or that of its foreign key."""
    return {rule.foreign[0]} if rule.foreign else tables(rule.check) if rule.check else set()


def tables_in(table: Table) -> tuple[str, ...]:
    """Tables named in subqueries of a table's columns and rules, sorted."""
    named = [tables(sql) for sql in table.columns.values()] + [asked(rule) for rule in table.rules]
    return tuple(sorted({name.lower() for names in named for name in names}))


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
