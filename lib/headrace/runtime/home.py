"""Where Headrace keeps what it makes: `HEADRACE_HOME`, default `./.headrace`."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
    """

    schema: str
    warehouse: str
    tracking_uri: str

    @property
    def root(self) -> str:
        """The folder of the pipeline's tables."""
        return f"{self.warehouse.rstrip('/')}/{self.schema}"


def places(pipeline: Pipeline, environment: Environment, sample: str | None = None) -> Places:
    """The places of a pipeline; a sample has a schema of its own."""
    base = home()
    suffix = f"_sample_{sample.rstrip('%').replace('.', '_')}" if sample else ""
    return Places(
        schema=f"{environment.prefix}{pipeline.pipeline}{suffix}".lower(),
        warehouse=environment.warehouse or str(base / "warehouse"),
        tracking_uri=environment.mlflow or f"sqlite:///{base / 'mlflow' / 'mlflow.db'}",
    )
