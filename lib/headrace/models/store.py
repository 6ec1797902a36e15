"""The model store: MLflow's tracking server and registry, as Headrace uses them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from functools import cached_property
from io import StringIO
from itertools import chain, count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.config import secrets
from headrace.errors import ConfigError
from headrace.models import program
from headrace.models.answers import answered
from headrace.models.card import ModelCard
from headrace.models.signature import signature
from headrace.models.version import PREFIX, Version, ours, version_of
from headrace.runtime import cache

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from pyspark.ml import PipelineModel

T = TypeVar("T")

CHAMPION = "champion"
CARD_FILE = "headrace.json"
MODEL_FOLDER = "model"
TESTED = "test_metrics"  # tag of a version: its metrics on the test part, as JSON
INTERVALS = "test_intervals"
"""Tag of a version: the 95 % intervals of these metrics, `{metric: [lower, upper]}`, as JSON."""
LONGEST = 4_900  # characters of a description
_loaded: dict[tuple[str, str], PipelineModel] = {}


class ModelStore:
    """Runs, models, versions and aliases of one MLflow server.

    Args:
        tracking_uri: Of tracking and registry; `sqlite:///HOME/mlflow/mlflow.db` keeps artifacts beside the file.
        artifact_root: Where new experiments put artifacts; default: beside the SQLite file, else the server's.
    """

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        self.tracking_uri = tracking_uri = secrets.reveal(tracking_uri)
        path = tracking_uri.removeprefix("sqlite:///") if tracking_uri.startswith("sqlite:///") else None
        self._file = Path(path).resolve() if path else None
        self._folder = self._file.parent if self._file else None
        self.artifact_root = artifact_root or (str(self._folder / "artifacts") if self._folder else None)

    @property
    def there(self) -> bool:
        """Whether there may be models: a SQLite file is made when it is first used."""
        return self._file is None or self._file.exists()

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; may be shared by threads. The first use of a SQLite file creates its tables (~10 s)."""
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow

        logging.getLogger("mlflow.spark").setLevel(logging.WARNING)  # it tells of every copy it makes
        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)
        if self._folder is None:
            return mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)
        self._folder.mkdir(parents=True, exist_ok=True)
        with cache.alone(self._folder):  # of two that make the tables at the same time one would fail
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
            `runs:/<run_id>/model`, or `model-2` and so on where the run has one already.
        """
        import mlflow

        program.named()
        folder = self._free_folder(run_id)
        self.client.log_dict(run_id, card.as_dict(), CARD_FILE)
        with mlflow.start_run(run_id=run_id), cache.temporary(code) as code_paths:
            mlflow.spark.log_model(
                model,
                artifact_path=folder,
                code_paths=code_paths or None,
                pip_requirements=list(packages),
                signature=signature(card),
                dfs_tmpdir=str(self._folder / "tmp") if self._folder else None,
            )
        return f"runs:/{run_id}/{folder}"

    def _free_folder(self, run_id: str) -> str:
        """Where a model can lie in a run: beside what an interrupted search left there, whose files would be mixed in."""
        names = {file.path for file in self.client.list_artifacts(run_id)}
        numbered = (f"{MODEL_FOLDER}-{number}" for number in count(2))
        return next(name for name in chain([MODEL_FOLDER], numbered) if name not in names)

    def load(self, uri: str) -> PipelineModel:
        """A fitted pipeline by `runs:/...` or `models:/name/version`; kept in memory from then on."""
        key = (self.tracking_uri, uri)
        if key not in _loaded:
            from headrace.models.loading import loaded

            _ = self.client
            _loaded[key] = loaded(uri, str(self._folder / "tmp") if self._folder else None)
        return _loaded[key]

    def card(self, run_id: str) -> ModelCard:
        """The card logged in a run."""
        return ModelCard.from_dict(self.read_json(run_id, CARD_FILE))

    def read_json(self, run_id: str, file: str) -> dict[str, Any]:
        """A JSON file of a run."""
        import mlflow

        with answered(self.tracking_uri):
            _ = self.client
            return dict(mlflow.artifacts.load_dict(f"runs:/{run_id}/{file}"))

    def log_texts(self, run_id: str, files: Mapping[str, str]) -> None:
        """Write files of a run."""
        with answered(self.tracking_uri):
            for name, text in files.items():
                self.client.log_text(run_id, text, name)

    def register(self, name: str, model_uri: str, tags: Mapping[str, str]) -> Version:
        """The version of this model: the one that is there already, or a new one."""
        found = self.find(name, "model_uri", model_uri)
        if found is None:
            import mlflow

            _ = self.client
            with redirect_stderr(StringIO()):  # what it prints there is told by the step's own notes
                made = mlflow.register_model(model_uri, name, tags={f"{PREFIX}model_uri": model_uri})
            found = version_of(made)
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

    def describe_version(self, version: Version, description: str) -> None:
        """Say of a version what it is; cut, at the end of a line, to what MLflow's databases hold."""
        if len(description) > LONGEST:
            description = description[:LONGEST].rpartition("\n")[0] + "\n\n... more in the run's model_card.md"
        self.client.update_model_version(version.name, str(version.number), description)

    def version(self, name: str, number: int) -> Version:
        """A version by its number."""
        return version_of(self.client.get_model_version(name, str(number)))

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the newest first; empty where there is none."""
        with answered(self.tracking_uri):
            found = [version_of(one) for one in self.client.search_model_versions(f"name='{name}'")]
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
        with answered(self.tracking_uri):
            return self._or_none(lambda: version_of(self.client.get_model_version_by_alias(name, alias)))

    def model(self, name: str) -> tuple[dict[str, int], dict[str, str]] | None:
        """Aliases and tags (with Headrace's prefix removed) of a registered model; None where there is none."""
        with answered(self.tracking_uri):
            found = self._or_none(lambda: self.client.get_registered_model(name))
        if found is None:
            return None
        return {alias: int(number) for alias, number in found.aliases.items()}, ours(found.tags)

    def tag_model(self, name: str, key: str, value: str) -> None:
        """Set a tag of a registered model."""
        with answered(self.tracking_uri):
            self.client.set_registered_model_tag(name, PREFIX + key, value)

    def set_alias(self, name: str, number: int | None, alias: str = CHAMPION) -> bool:
        """Let an alias stand for a version, or for none; who moves `champion` goes through `models.changes`.

        Returns:
            Whether it could be done: not where the version is no longer there.
        """

        def moved() -> bool:
            if number is None:
                self.client.delete_registered_model_alias(name, alias)
            else:
                self.client.set_registered_model_alias(name, alias, str(number))
            return True

        with answered(self.tracking_uri):
            return self._or_none(moved) or False

    def _or_none(self, ask: Callable[[], T]) -> T | None:
        """What was asked for, or None where there is no such model, version or alias."""
        from mlflow.exceptions import MlflowException

        try:
            return ask()
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

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
                "or promote one: headrace promote FILE.yaml VERSION"
            )
        return found
