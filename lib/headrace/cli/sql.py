"""`headrace sql`: Spark SQL over the tables, also while a job writes them.

The catalogue is in memory: nothing is locked, and each query sees the newest commit.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, NoReturn

import typer

from headrace.cli.running import hush
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.config.types import Environment
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import cache, launch
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.home import has_models, home, model_store, places
from headrace.runtime.packages import of_places
from headrace.runtime.views import united

NAME = re.compile(r"[A-Za-z0-9_]+")
"What the catalogue takes as a name."

AUDIT = "model_changes"
"""The table that is also asked of the model store, which has the newest changes before a run writes them."""

MARK = "-- headrace: tables are known --"
"Printed between what registers the tables and the query's own output."


def sql(
    query: Annotated[str | None, typer.Argument(help="SQL; without it, a prompt")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="a file of SQL instead")] = None,
    config: Annotated[Path | None, typer.Option(help="the pipeline's YAML: its schema is the default one")] = None,
    env: Annotated[str | None, typer.Option(help="the environment (with --config)")] = None,
    pipeline: Annotated[str | None, typer.Option(help="the default schema, by name")] = None,
    master: Annotated[str | None, typer.Option(help="where Spark runs (default: this machine)")] = None,
    conf: Annotated[list[str] | None, typer.Option("--conf", "-c", help="a setting of Spark, KEY=VALUE")] = None,
) -> None:
    """Query tables with Spark SQL, also while a job runs; prints columns separated by tabs.

    For instance:

      headrace sql "select * from flights.runs order by started_at desc limit 5"

      headrace sql --pipeline flights "show tables"

      headrace sql "select * from delta.`/path/to/table` version as of 3"

      headrace sql        (a prompt; quit; ends it)
    """
    if query is not None and file is not None:
        raise ConfigError("give a query or --file, not both")
    if file is not None and not file.is_file():
        raise ConfigError(f"there is no file {file}")
    settings = dict(part.partition("=")[::2] for part in conf or [])
    if master:
        settings["spark.master"] = master
    schema, environment = pipeline, Environment()
    if config:
        read, environment = read_pipeline(config, env)
        schema = pipeline or places(read, environment).schema
    warehouse = environment.warehouse or str(home() / "warehouse")
    hive = environment.metastore == "hive"
    asked = query or (file.read_text(encoding="utf-8") if file else AUDIT)  # at a prompt anything may be asked
    audits = _audits(Path(warehouse), model_store(environment)) if not hive and AUDIT in asked.lower() else {}
    init = closing_sql(schema or "default") if hive else init_sql(Path(warehouse), schema, audits)
    wishes = launch.Wishes(
        user=settings,
        environment=environment.spark.application
        | ({"spark.master": environment.master} if environment.master else {}),
        jars=environment.jars,
        warehouse=warehouse,
        hive=hive,
        quick=True,
        packages=of_places(environment.warehouse),
    )
    ready = launch.prepare(home(), wishes)
    script = cache.write(cache.folder(home(), "cache") / f"init-{cache.digest(init)}.sql", init.encode())
    command = [str(ready.spark_home / "bin" / "spark-sql"), "--properties-file", str(ready.properties)]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    command += ["-i", str(script)]
    if query is None and file is None:
        sys.stderr.write("headrace: Spark SQL; end a statement with a semicolon, leave with quit;\n")
        os.execve(command[0], command, ready.env)
    _run([*command, "-S", *(["-f", str(file)] if file else ["-e", query or ""])], ready.env)


def _run(command: list[str], env: dict[str, str]) -> NoReturn:
    """Run a query: what Spark prints before it (while tables are registered) is dropped, mistakes are told in words."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        begun = False
        for line in child.stdout or ():
            if begun:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
            begun = begun or MARK.encode() in line
        code = child.wait()
        errors.seek(0)
        output = secrets.redacted(errors.read().decode(errors="replace"))
    if code == 0:
        raise SystemExit(0)
    message = reason(output)
    if message is None:
        raise HeadraceError(f"Spark SQL failed:\n{output.strip()[-2000:]}")
    raise ConfigError(message if begun else f"a table or view could not be registered: {message}")


def reason(output: str) -> str | None:
    """What Spark says of a mistake in a query, without its stack trace and its plan; None if it says nothing."""
    match = re.search(r"(?m)^(?:.*?(?:Exception|Error): )?(\[[A-Z][A-Z0-9_.]+\].*)$", output)
    if match is None:
        return None
    lines = []
    for line in output[match.start(1) :].splitlines():
        if re.match(r"\s+at |'|\s*[+:]- |[A-Z]\w+ \[|[a-z]+(\.\w+)+(Exception|Error)|JVM stacktrace|Caused by", line):
            break
        lines.append(line.rstrip())
    return "\n".join(lines).strip()


def name(identifier: str) -> str:
    """An identifier in quotes."""
    return "`" + identifier.replace("`", "``") + "`"


def text(value: str) -> str:
    """A string in quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def schemas(warehouse: Path) -> dict[str, list[Path]]:
    """The Delta tables of each schema: folders `<warehouse>/<schema>/<table>` with a log.

    A folder without a log is no table, and `CREATE TABLE` would make it an empty one.
    """
    logs = sorted(warehouse.glob("*/*/_delta_log"))
    found: dict[str, list[Path]] = {}
    for table in (log.parent for log in logs if any(log.glob("*.json"))):
        if not NAME.fullmatch(table.name) or not NAME.fullmatch(table.parent.name):
            continue  # nothing of Headrace's; delta.`/path` still reaches it
        found.setdefault(table.parent.name, []).append(table)
    return found


def _audits(warehouse: Path, tracking_uri: str) -> dict[str, str]:
    """The journals of the schemas' models as SQL; none where the model store does not answer: then their tables stand."""
    if not has_models(tracking_uri):
        return {}
    hush()
    try:
        return changes_sql(list(schemas(warehouse)), tracking_uri)
    except HeadraceError as error:
        sys.stderr.write(f"headrace: {secrets.redacted(error.message)}; {AUDIT} is as the last run wrote it\n")
        return {}


def changes_sql(models: Sequence[str], tracking_uri: str) -> dict[str, str]:
    """A query per model that yields the journal of its champion, as the model store has it now."""
    from headrace.models import audit  # MLflow: some seconds
    from headrace.models.changes import read
    from headrace.models.store import ModelStore

    store = ModelStore(tracking_uri)
    found = {model: audit.rows(model, read(store, model)) for model in models if store.model(model) is not None}
    kinds = ", ".join(f"{column}: {kind}" for column, (kind, _) in audit.COLUMNS.items())
    return {
        model: f"SELECT inline(from_json({text(_plain(rows))}, 'array<struct<{kinds}>>'))"
        for model, rows in found.items()
    }


def _plain(rows: Sequence[Mapping[str, object]]) -> str:
    """JSON in which no sign means anything to the command line of Spark SQL: no quote, `;`, `--` or `${`."""
    json_text = json.dumps(rows, default=datetime.isoformat)
    return re.sub(r"[^\w\s\[\]{}:,.\"+\\]", lambda sign: f"\\u{ord(sign[0]):04x}", json_text)


def init_sql(warehouse: Path, schema: str | None = None, audits: Mapping[str, str] = MappingProxyType({})) -> str:
    """SQL that makes tables and views known by name, and chooses the default schema.

    Args:
        warehouse: Root of all schemas.
        schema: The default schema; without it, the only one there is.
        audits: Queries by schema that stand for its table `model_changes`.

    Raises:
        ConfigError: If there is no such schema.
    """
    found = schemas(warehouse)
    if schema is not None and schema not in found:
        there = ", ".join(found) or "none yet"
        raise ConfigError(
            f"there is no schema {schema!r} in {warehouse}; there are: {there}. A pipeline's first run makes it."
        )
    lines = []
    for each, tables in found.items():
        lines.append(f"CREATE SCHEMA IF NOT EXISTS {name(each)} LOCATION {text(str(warehouse / each))};")
        lines += [f"CREATE OR REPLACE VIEW {name(each)}.{AUDIT} AS {audits[each]};"] if each in audits else []
        for table in tables:
            if table.name == AUDIT and each in audits:
                continue
            where = f"{name(each)}.{name(table.name)}"
            lines.append(f"CREATE TABLE IF NOT EXISTS {where} USING delta LOCATION {text(str(table))};")
    for each in found:
        log = CommitLog(str(warehouse / each), LocalFiles())
        notes = [last.note for table in found[each] if (last := log.last(table.name))]
        lines += [
            f"CREATE OR REPLACE VIEW {name(each)}.{name(view)} AS {sql.format(schema=name(each))};"
            for view, sql in united(note.get("views", {}) for note in notes).items()
        ]
    chosen = schema or (next(iter(found)) if len(found) == 1 else "default")
    return "".join(f"{line}\n" for line in lines) + closing_sql(chosen)


def closing_sql(schema: str) -> str:
    """SQL that ends the preparation: the default schema, column names over results, and the mark."""
    return f"USE {name(schema)};\nSET spark.sql.cli.print.header=true;\nSELECT {text(MARK)} AS ready;\n"
