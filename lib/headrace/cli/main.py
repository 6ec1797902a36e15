"""The command `headrace`. Each command's module is imported when it is called: `--help` stays fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from headrace.config.secrets import redacted
from headrace.errors import HeadraceError


@dataclass(frozen=True)
class Entry:
    """A command: its module within `headrace.cli`, and a line of help."""

    module: str
    help: str


COMMANDS = {
    "init": Entry("init", "Profile a file or table, and write a commented YAML that already trains a model."),
    "profile": Entry("profile", "What a file or table holds: types, missing values, ranges, remarks."),
    "validate": Entry("validate", "Check a pipeline's YAML: every mistake, with its line."),
    "schema": Entry("schema", "The JSON schema of the YAML, for editors."),
    "plan": Entry("plan", "What would run, and why."),
    "submit": Entry("submit", "Run a job on Spark: what ./spark-submit.sh does."),
    "schedule": Entry("schedule", "Files by which Airflow, cron, systemd or Kubernetes run a pipeline."),
    "sql": Entry("sql", "Query the tables with Spark SQL, also while a job runs."),
    "replay": Entry("replay", "Judge quarantined rows again, and move what passes, exactly once."),
    "backfill": Entry("backfill", "Compute a window of published feature tables anew, and write what differs."),
    "maintain": Entry("maintain", "Join small files, delete old ones; never what a registered model needs."),
    "status": Entry("status", "What ran, and what there is."),
    "models": Entry("models", "The versions of the model, how they tested, and which became champion."),
    "promote": Entry("promote", "Make a version champion, on record."),
    "demote": Entry("promote", "Let no version be champion: nothing is scored."),
    "rollback": Entry("promote", "Make the champion before champion again."),
    "experiment": Entry("experiment", "How many labelled rows an A/B test needs."),
    "reproduce": Entry("reproduce", "Train a version again on the tables of then, and compare row by row."),
    "export": Entry("export", "Write a version as ONNX, pickle, XGBoost or Spark ML, checked row by row."),
    "features": Entry(
        "features", "The features: what they are, where they come from, how fresh; a sample as of a time."
    ),
    "publish": Entry("publish", "Copy the feature tables of now into an online store, for `serve`."),
    "serve": Entry("serve", "Answer requests in real time over HTTP, without Spark."),
    "describe": Entry("describe", "What tables and columns mean, who answers for them, and how they stand."),
}
EXAMPLES = """
Examples:

  headrace init data/churn.csv --label churn --out churn.yaml

  headrace validate churn.yaml

  headrace submit pipeline --config churn.yaml

  headrace sql "select * from churn.evaluation"

Exit codes: 0 done; 1 something failed; 2 a mistake in the configuration, a path or an option;
3 the data cannot be used; 4 a gate refused the model.
"""


class Lazy(TyperGroup):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order in which one needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in, for the list of commands."""
        entry = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=entry.help, short_help=entry.help) if entry else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, when it is called."""
        called, command, rest = super().resolve_command(ctx, args)
        return called, load(called) if called else command, rest


def load(command: str) -> Any:
    """Import a command.

    Raises:
        HeadraceError: If it is not part of this installation.
    """
    module_name = f"headrace.cli.{COMMANDS[command].module}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise HeadraceError(f"`headrace {command}` is not part of this version") from error
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command(command)(getattr(module, command, None) or module.command)
    return typer.main.get_command(single)


app = typer.Typer(cls=Lazy, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(
    help="From raw tables to versioned, monitored predictions on Spark.", epilog=EXAMPLES, no_args_is_help=True
)
def _headrace() -> None:
    """The group has no options of its own."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a mistake is told in words, with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["submit"]:  # its options are spark-submit's
        from headrace.cli.submit import main as submit

        submit(given[1:])
    if given[:1] == ["plan"]:  # its options are those of a job
        from headrace.cli.plan import main as plan

        plan(given[1:])
    try:
        app(given, prog_name="headrace")
    except HeadraceError as error:
        sys.stderr.write(f"error: {redacted(error.message)}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
