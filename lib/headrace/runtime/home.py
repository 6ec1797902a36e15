"""Where Headrace keeps what it makes: `HEADRACE_HOME`, default `./.headrace`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.config.types import Environment, Pipeline


def home() -> Path:
    """The absolute `HEADRACE_HOME`."""
    return Path(os.environ.get("HEADRACE_HOME") or ".headrace").absolute()


@dataclass(frozen=True)
class Places:
    """Where a pipeline's tables and models live under an overlay.

    Attributes:
        schema: Schema of the tables and name of the registered model.
        warehouse: Root of all schemas, a path or URI.
        tracking_uri: MLflow's tracking and registry.
        shared: Schema of each table that another pipeline makes.
    """

    schema: str
    warehouse: str
    tracking_uri: str
    shared: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The folder of the pipeline's tables."""
        return f"{self.warehouse.rstrip('/')}/{self.schema}"

    @property
    def elsewhere(self) -> dict[str, str]:
        """The folders of the schemas of tables that other pipelines make, by table."""
        return {table: f"{self.warehouse.rstrip('/')}/{schema}" for table, schema in self.shared.items()}


def model_store(environment: Environment) -> str:
    """The address of MLflow's tracking and registry under an overlay."""
    return environment.mlflow or f"sqlite:///{home() / 'mlflow' / 'mlflow.db'}"


def places(pipeline: Pipeline, environment: Environment, sample: str | None = None) -> Places:
    """The places of a pipeline; a sample has a schema of its own."""
    suffix = f"_sample_{sample.rstrip('%').replace('.', '_')}" if sample else ""
    return Places(
        schema=f"{environment.prefix}{pipeline.pipeline}{suffix}".lower(),
        warehouse=environment.warehouse or str(home() / "warehouse"),
        tracking_uri=model_store(environment),
        shared={name: f"{environment.prefix}{owner}".lower() for name, owner in pipeline.owners.items()},
    )


def has_models(tracking_uri: str) -> bool:
    """Whether there is a model store to ask: asking for one of SQLite would make it."""
    return not tracking_uri.startswith("sqlite:///") or Path(tracking_uri.removeprefix("sqlite:///")).exists()
