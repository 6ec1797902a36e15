"""Writing the formats that Python reads without Spark: `pickle` and `xgboost`; and asking what was written."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import HeadraceError
from headrace.models.compiled.scorer import FORMAT, Compiled
from headrace.models.exporting.portable import BOOSTER, PREPARATION, Model

CODE, PICKLE, REQUIREMENTS = "headrace.zip", "model.pkl", "requirements.txt"
NEEDS = (("numpy",), ("pandas",), ("pyarrow",), ("scipy",), ("xgboost-cpu", "xgboost"))
"""Packages; of several names for the same the first that is installed."""
_MODULES = (
    "__init__", "errors", "models/__init__", "models/card", "models/exporting/__init__", "models/exporting/portable",
    *(f"models/compiled/{name}" for name in (
        "__init__", "answers", "boosting", "columns", "expressions", "functions", "learners", "members", "moments", "ranks",
        "scorer", "stages",
        "texts", "trees",
    )),
)  # fmt: skip
_ASK = """
import pickle, sys
folder, rows, told = sys.argv[1:]
sys.path.insert(0, folder + "/headrace.zip")
import pandas as pd, pyarrow as pa, pyarrow.parquet as pq
whole = {pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
frame = pq.read_table(rows).to_pandas(types_mapper=whole.get)
READ
pq.write_table(model.score(frame), told)
heavy = sorted({name.partition(".")[0] for name in sys.modules} & {"pyspark", "py4j", "mlflow", "sqlglot"})
import headrace
print("alone" if not heavy and ".zip" in headrace.__file__ else [headrace.__file__, *heavy])
"""
_READ = {
    "pickle": 'model = pickle.load(open(folder + "/model.pkl", "rb"))',
    "xgboost": "from headrace.models.exporting.portable import Boosted; model = Boosted.read(folder)",
}


def pickled(folder: Path, compiled: Compiled, about: Mapping[str, Any]) -> None:
    """Write `model.pkl`, and beside it the code that it is of."""
    (folder / PICKLE).write_bytes(pickle.dumps(Model(compiled.files(), about), protocol=5))
    _code(folder)


def boosted(folder: Path, compiled: Compiled, about: Mapping[str, Any]) -> None:
    """Write the booster as XGBoost does, and the other steps as JSON."""
    steps = []
    for kind, params, arrays in compiled.described:
        if kind == "xgboost":
            (folder / BOOSTER).write_bytes(np.asarray(arrays["booster"]).tobytes())
            arrays = {}
        told = {
            name: {"type": of.dtype.str, "shape": of.shape, "values": of.ravel().tolist()}
            for name, of in arrays.items()
        }
        steps.append({"kind": kind, "params": dict(params), "arrays": told})
    content = {
        "format": FORMAT, **about, "card": compiled.card.as_dict(), "inputs": list(compiled.inputs),
        "columns": feature_names(compiled), "steps": steps,
    }  # fmt: skip
    (folder / PREPARATION).write_text(json.dumps(content, indent=1, ensure_ascii=False, default=str))
    _code(folder)


def feature_names(compiled: Compiled) -> list[str]:
    """The names of what the booster is given, in order."""
    names: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    for kind, params, arrays in compiled.described:
        if kind == "xgboost":
            return names[params["input"]]
        if kind == "index":
            labels[params["output"]] = [*params["labels"], "(other)"]
        elif kind == "hot":
            for source, target, width in zip(params["inputs"], params["outputs"], params["sizes"], strict=True):
                known = labels.get(source, [])
                names[target] = [f"{target}={known[n] if n < len(known) else n}" for n in range(width)]
        elif kind == "assemble":
            names[params["output"]] = [part for name in params["inputs"] for part in names.get(name, [name])]
        elif kind == "picked":
            names[params["output"]] = [names[params["input"]][place] for place in params["places"]]
        elif kind == "components":
            names[params["output"]] = [f"component_{n}" for n in range(len(arrays["weights"]))]
        elif kind in ("times", "normal", "spread"):
            names[params["output"]] = names[params["input"]]
    return []


def _code(folder: Path) -> None:
    """The modules of Headrace that a model is of, and the packages that these import."""
    with zipfile.ZipFile(folder / CODE, "w", zipfile.ZIP_DEFLATED) as made:
        for name in _MODULES:
            content = (files("headrace") / f"{name}.py").read_bytes()
            made.writestr(zipfile.ZipInfo(f"headrace/{name}.py", (2000, 1, 1, 0, 0, 0)), content)
    (folder / REQUIREMENTS).write_text("".join(_pinned(names) for names in NEEDS))


def _pinned(names: Sequence[str]) -> str:
    for name in names:
        try:
            return f"{name}=={version(name)}\n"
        except PackageNotFoundError:
            continue
    return f"{names[0]}\n"


def asked(form: str, folder: Path, rows: pa.Table) -> pa.Table:
    """What the files say of rows, in a Python that has nothing but them.

    Raises:
        HeadraceError: If it cannot.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as scratch:
        given, told = Path(scratch) / "rows.parquet", Path(scratch) / "told.parquet"
        pq.write_table(rows, given)
        code = _ASK.replace("READ", _READ[form])
        command = [sys.executable, "-c", code, str(folder), str(given), str(told)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or done.stdout.strip() != "alone":
            last = (done.stderr or done.stdout).strip().splitlines()
            raise HeadraceError(f"what was written cannot be read again: {last[-1] if last else 'no answer'}")
        return pq.read_table(told)
