"""The model store: MLflow's tracking server and registry, as Headrace uses them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from headrace.config import secrets
from headrace.errors import ConfigError
from headrace.models.answers import answered
from headrace.models.card import ModelCard
from headrace.models.signature import signature
from headrace.runtime import cache

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.ml import PipelineModel

CHAMPION = "champion"
CARD_FILE = "headrace.json"
MODEL_FOLDER = "model"
PREFIX = "headrace."
TESTED = "test_metrics"
"""Tag of a version: its metrics on the test part, as JSON."""
_loaded: dict[tuple[str, str], PipelineModel] = {}


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        name: Of the registered model.
        number: From 1.
        run_id: MLflow's run in which it was logged.
        tags: With Headrace's prefix removed.
    """

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """`models:/name/number`."""
        return f"models:/{self.name}/{self.number}"


class ModelStore:
    """Runs, models, versions and aliases of one MLflow server.

    Args:
        tracking_uri: Of tracking and registry; `sqlite:///HOME/mlflow/mlflow.db` keeps artifacts beside the file.
        artifact_root: Where new experiments put artifacts; default: beside the SQLite file, else the server's.
    """

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        self.tracking_uri = tracking_uri = secrets.reveal(tracking_uri)
        path = tracking_uri.removeprefix("sqlite:///") if tracking_uri.startswith("sqlite:///") else None
        self._folder = Path(path).resolve().parent if path else None
        self.artifact_root = artifact_root or (str(self._folder / "artifacts") if self._folder else None)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; may be shared by threads. The first use of a SQLite file creates its tables (~10 s)."""
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow

        logging.getLogger("mlflow.spark").setLevel(logging.WARNING)  # it tells of every copy it makes
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)
        return mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment of this name; created where there is none."""
        found = self.client.get_experiment_by_name(name)
        if found:
            return str(found.experiment_id)
        place = f"{self.artifact_root}/{name}" if self.artifact_root else None
        return str(self.client.create_experiment(name, artifact_location=place))

    def log_model(
        self,
        run_id: str,
        model: PipelineModel,
        card: ModelCard,
        packages: tuple[str, ...],
        code: Mapping[str, bytes] = MappingProxyType({}),
    ) -> str:
        """Log a fitted pipeline and its card to a run.

        Args:
            run_id: MLflow's run.
            model: Saved by Spark ML's own writers.
            card: Stored beside it.
            packages: Requirements, given so that MLflow does not spend a minute guessing them.
            code: Python files that the model's classes are in, path -> content: stored with it, to read it anywhere.

        Returns:
            `runs:/<run_id>/model`.
        """
        import mlflow

        self.client.log_dict(run_id, card.as_dict(), CARD_FILE)
        with mlflow.start_run(run_id=run_id), cache.temporary(code) as code_paths:
            mlflow.spark.log_model(
                model,
                artifact_path=MODEL_FOLDER,
                code_paths=code_paths or None,
                pip_requirements=list(packages),
                signature=signature(card),
                dfs_tmpdir=str(self._folder / "tmp") if self._folder else None,
            )
        return f"runs:/{run_id}/{MODEL_FOLDER}"

    def load(self, uri: str) -> PipelineModel:
        """A fitted pipeline by `runs:/...` or `models:/name/version`; kept in memory from then on."""
        key = (self.tracking_uri, uri)
        if key not in _loaded:
            import mlflow

            _ = self.client
            tmp = str(self._folder / "tmp") if self._folder else None
            _loaded[key] = mlflow.spark.load_model(uri, dfs_tmpdir=tmp)
        return _loaded[key]

    def card(self, run_id: str) -> ModelCard:
        """The card logged in a run."""
        import mlflow

        _ = self.client
        return ModelCard.from_dict(mlflow.artifacts.load_dict(f"runs:/{run_id}/{CARD_FILE}"))

    def register(self, name: str, model_uri: str, tags: Mapping[str, str]) -> Version:
        """The version of this model: the one that is there already, or a new one."""
        found = self.find(name, "model_uri", model_uri)
        if found is None:
            import mlflow

            _ = self.client
            with redirect_stderr(StringIO()):  # what it prints there is told by the step's own notes
                made = mlflow.register_model(model_uri, name, tags={f"{PREFIX}model_uri": model_uri})
            found = _version(made)
        self.tag(found, tags)
        return self.version(name, found.number)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(version.name, str(version.number), PREFIX + key, value)

    def describe(self, name: str, description: str, tags: Mapping[str, str]) -> None:
        """Say of a registered model what it is; what is empty here stays as people wrote it in MLflow.

        Args:
            name: Of the model.
            description: Its description.
            tags: Set with Headrace's prefix; an empty one only replaces one that is there.
        """
        model = self.client.get_registered_model(name)
        if description and description != model.description:
            self.client.update_registered_model(name, description)
        for key, value in tags.items():
            there = model.tags.get(PREFIX + key)
            if there != value and (value or there is not None):
                self.client.set_registered_model_tag(name, PREFIX + key, value)

    def version(self, name: str, number: int) -> Version:
        """A version by its number."""
        return _version(self.client.get_model_version(name, str(number)))

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the newest first; empty where there is none."""
        with answered(self.tracking_uri):
            found = [_version(one) for one in self.client.search_model_versions(f"name='{name}'")]
        return sorted(found, key=lambda one: -one.number)

    def names(self) -> list[str]:
        """Names of all registered models."""
        with answered(self.tracking_uri):
            found, token = [], None
            while True:
                page = self.client.search_registered_models(page_token=token)
                found += [str(one.name) for one in page]
                token = page.token
                if not token:
                    return found

    def find(self, name: str, tag: str, value: str) -> Version | None:
        """The newest version with this tag."""
        return next((one for one in self.versions(name) if one.tags.get(tag) == value), None)

    def alias(self, name: str, alias: str = CHAMPION) -> Version | None:
        """The version that an alias stands for, or None."""
        from mlflow.exceptions import MlflowException

        with answered(self.tracking_uri):
            try:
                return _version(self.client.get_model_version_by_alias(name, alias))
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
        return None

    def promote(self, version: Version, alias: str = CHAMPION) -> None:
        """Move an alias to a version; the version it stood for is recorded first, for a rollback."""
        held = self.alias(version.name, alias)
        if held and held.number != version.number:
            self.tag(version, {f"previous_{alias}": str(held.number)})
        self.client.set_registered_model_alias(version.name, alias, str(version.number))

    def resolve(self, name: str, wanted: str = CHAMPION) -> Version:
        """A version by alias or number.

        Raises:
            ConfigError: If there is none.
        """
        found = next((one for one in self.versions(name) if str(one.number) == wanted), None)
        found = found or (None if wanted.isdigit() else self.alias(name, wanted))
        if found is None:
            there = ", ".join(str(one.number) for one in self.versions(name)) or "none"
            raise ConfigError(
                f"model {name} has no version or alias {wanted!r} (versions: {there}); train one with jobs/train.py, "
                f"or promote one: headrace promote {name} VERSION"
            )
        return found


def _version(found: ModelVersion) -> Version:
    tags = {key.removeprefix(PREFIX): value for key, value in found.tags.items() if key.startswith(PREFIX)}
    return Version(found.name, int(found.version), found.run_id or "", tags)
