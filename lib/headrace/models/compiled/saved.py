"""Fitted pipelines as Spark ML saves them: JSON and Parquet in folders, read without Spark."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.models.compiled.columns import Floats


@dataclass(frozen=True)
class Saved:
    """A stage in its folder."""

    folder: Path

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What `metadata` says."""
        return dict(json.loads("".join(part.read_text() for part in sorted((self.folder / "metadata").glob("part-*")))))

    @property
    def kind(self) -> str:
        """Its class, without the module."""
        return str(self.metadata["class"]).rpartition(".")[2]

    def param(self, name: str, default: Any = None) -> Any:
        """A parameter, as set or as it is by default."""
        found = {**self.metadata["defaultParamMap"], **self.metadata["paramMap"]}
        return found.get(name, default)

    def stages(self) -> list[Saved]:
        """Of a pipeline, in order."""
        folders = {one.name.partition("_")[2]: one for one in (self.folder / "stages").iterdir()}
        return [Saved(folders[uid]) for uid in self.param("stageUids")]

    def table(self, name: str = "data") -> pa.Table:
        """A Parquet folder."""
        parts = sorted((self.folder / name).glob("*.parquet"))
        return pa.concat_tables([pq.read_table(part) for part in parts])

    @cached_property
    def row(self) -> dict[str, Any]:
        """The one row of `data`."""
        return dict(self.table().to_pylist()[0])

    def text(self, name: str) -> str:
        """A text folder, its lines joined."""
        parts = sorted((self.folder / name).glob("part-*"))
        return "".join(line for part in parts for line in part.read_text().splitlines())


def vector(of: dict[str, Any]) -> Floats:
    """A vector of Spark ML, dense."""
    if of["type"] == 1:
        return np.asarray(of["values"], dtype=np.float64)
    found = np.zeros(of["size"])
    found[np.asarray(of["indices"], dtype=np.int64)] = of["values"]
    return found


def matrix(of: dict[str, Any]) -> Floats:
    """A matrix of Spark ML, dense."""
    shape, values = (of["numRows"], of["numCols"]), np.asarray(of["values"], dtype=np.float64)
    if of["type"] == 1:
        return values.reshape(shape) if of["isTransposed"] else values.reshape(shape[::-1]).T
    outer = shape[0] if of["isTransposed"] else shape[1]
    ends = np.asarray(of["colPtrs"])
    across, along = np.repeat(np.arange(outer), np.diff(ends)), np.asarray(of["rowIndices"], dtype=np.int64)
    found = np.zeros(shape)
    found[(across, along) if of["isTransposed"] else (along, across)] = values
    return found


def nodes(table: pa.Table) -> dict[str, Any]:
    """The nodes of trees, tree by tree and each in order, as `trees.Forest` takes them, with `prediction` and `stats`.

    Args:
        table: As saved: `treeID` and `nodeData`, of a single tree the latter's columns alone.

    Raises:
        ValueError: If a node decides by a set of categories.
    """
    if "nodeData" in table.column_names:
        whole = table.column("nodeData").combine_chunks()
        data = pa.Table.from_arrays(whole.flatten(), [field.name for field in whole.type])
        data = data.append_column("tree", table.column("treeID"))
    else:
        data = table.append_column("tree", pa.array(np.zeros(table.num_rows, np.int32)))
    data = data.sort_by([("tree", "ascending"), ("id", "ascending")]).combine_chunks()
    split = data.column("split").combine_chunks()
    leaf = data.column("leftChild").to_numpy() < 0
    if (split.field("numCategories").to_numpy(zero_copy_only=False)[~leaf] != -1).any():
        raise ValueError("trees that decide by sets of categories")
    threshold = np.zeros(len(leaf))
    threshold[~leaf] = [one[0] for one in split.field("leftCategoriesOrThreshold").filter(pa.array(~leaf)).to_pylist()]
    feature = split.field("featureIndex").to_numpy(zero_copy_only=False)
    return {
        "tree": data.column("tree").to_numpy(),
        "feature": np.where(leaf, -1, feature).astype(np.int64),
        "threshold": threshold,
        "left": data.column("leftChild").to_numpy().astype(np.int64),
        "right": data.column("rightChild").to_numpy().astype(np.int64),
        "prediction": data.column("prediction").to_numpy(),
        "stats": np.array(data.column("impurityStats").to_pylist(), dtype=np.float64),
    }
