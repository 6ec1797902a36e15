"""How good the models are that Headrace finds by default, against FLAML, with the same rows, split, cores and minutes.

    .venv/bin/python benchmarks/quality.py [--data flights,bio,reviews,movielens,cdnow] [--minutes 10] [--only headrace|flaml]

The YAML says key and label (and the time, where the data have one), and nothing of how to learn; `search.timeout` is the minutes.
Headrace makes the training set; FLAML gets its features and its split: both learn from `train`, choose by `validation`, fit
their best on both, and say once what they expect of `test`, which scikit-learn judges by Headrace's default metric. Texts
are 100 components of TF-IDF for FLAML. MovieLens is held against the most popular movies, by NDCG at 10.
FLAML has an environment of its own (HEADRACE_HOME/quality-peer, 700 MB from the package index, kept for the next time); so have the wheels
with the data (`quality_data.py`). Two cores each, one after the other. `--only flaml` makes the training set, and does
not search. Prints a Markdown table; ends with 1 where Headrace is more than 0.5 % below.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from contest import PROJECT, environment, scratch, session
from quality_data import DATA, Data
from sklearn.metrics import f1_score, roc_auc_score, root_mean_squared_error

import headrace
from headrace.config.metrics import larger_is_better

HERE = Path(__file__).resolve().parent
PACKAGES = ("flaml[automl]==2.7.0", "pyarrow")
WORDS = 2
"""A text of so many words on average is one that FLAML gets as components."""
ALLOWED = 0.005
K = 10


def judged(metric: str, said: pd.DataFrame) -> float:
    """The metric of `label`, `prediction`, and `probability` where it goes by that."""
    label = said.label.astype(float)
    if metric == "areaUnderROC":
        return float(roc_auc_score(label, said.probability))
    prediction = said.prediction.astype(float)
    if metric == "f1":
        return float(f1_score(label, prediction, average="weighted"))
    return float(root_mean_squared_error(label, prediction))


def ndcg(listed: list[Any], relevant: set[Any]) -> float:
    """Of one list of at most K, each hit worth 1."""
    gains = 1 / np.log2(np.arange(2, K + 2))
    hits = [item in relevant for item in listed[:K]]
    return float(np.dot(hits, gains[: len(hits)]) / gains[: min(K, len(relevant))].sum())


def lists(pipeline: headrace.Pipeline) -> tuple[float, float]:
    """NDCG of the model's lists and of the most popular items, over the users of the test part."""
    from headrace.evaluation.special import listed
    from headrace.models.card import ModelCard
    from headrace.models.store import ModelStore

    rows, store = pipeline.table("training_set"), ModelStore(pipeline.places.tracking_uri)
    facts = _facts(pipeline, "trials")
    card = ModelCard(**{name: facts[name] for name in ModelCard.__dataclass_fields__ if name in facts})
    learned, test = rows.where("split in ('train', 'validation')"), rows.where("split = 'test'")
    users = listed(store.load(facts["model_uri"]), card, learned, test).toPandas()
    count = max(max(seen, default=0) for seen in users.seen) + K + 1
    popular = [
        [item for item in range(count) if item not in set(seen)][:K] for seen in users.seen
    ]  # 0: the most popular
    wanted = [set(found) for found in users.relevant]
    return tuple(  # type: ignore[return-value]
        float(np.mean([ndcg(list(one), right) for one, right in zip(told, wanted, strict=True)]))
        for told in (users["items"], popular)
    )


def _facts(pipeline: headrace.Pipeline, table: str) -> dict[str, Any]:
    """What the last commit of a table tells."""
    where = f"{pipeline.places.root}/{table}"
    history = pipeline.spark.sql(f"describe history delta.`{where}`").select("userMetadata").collect()
    for row in history:
        found = json.loads(row[0] or "{}").get("facts")
        if found and (table != "trials" or "model_uri" in found):
            return dict(found)
    raise LookupError(table)


def headraces(pipeline: headrace.Pipeline, data: Data) -> dict[str, Any]:
    """Search and evaluate; what Headrace says of the test part."""
    began = time.monotonic()
    done = pipeline.run(to="evaluate")
    seconds = {one["name"]: float(one["seconds"]) for one in done.stages}
    trials = pipeline.table("trials")
    told = {
        "estimator": trials.where("status = 'winner'").first()["estimator"],
        "trials": trials.where("trial >= 0 and status <> 'winner'").count(),
        "seconds": time.monotonic() - began,
        "search": seconds["search"],
    }
    if data.metric == "ndcgAtK":
        told["value"], told["popularity"] = lists(pipeline)
        return told
    said = pipeline.table("test_predictions").where("label is not null").toPandas()
    return {**told, "value": judged(data.metric, said), "rows": len(said)}


def flaml(pipeline: headrace.Pipeline, data: Data, folder: Path, minutes: float, python: Path) -> dict[str, Any]:
    """FLAML's search over the same rows; what it says of the test part."""
    features = list(_facts(pipeline, "training_set")["features"])
    rows = pipeline.table("training_set").select("label", "split", *[f"`{name}`" for name in features]).toPandas()
    texts = [name for name in rows.select_dtypes("object") if name in features
             and rows[name].nunique() > 100 and rows[name].dropna().astype(str).str.split().str.len().mean() >= WORDS]  # fmt: skip
    rows.to_parquet(folder / "rows.parquet")
    asked = {"metric": data.metric, "seconds": 60 * minutes, "features": features, "texts": texts}
    (folder / "asked.json").write_text(json.dumps(asked))
    settings = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [str(python), str(HERE / "quality_peer.py"), str(folder)],
        env=settings,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said = pd.read_parquet(folder / "said.parquet")
    print(f"    FLAML: {done.stdout.splitlines()[-1]}", file=sys.stderr)
    return {**json.loads(done.stdout.splitlines()[-1]), "value": judged(data.metric, said), "rows": len(said)}


def contested(name: str, place: Path, given: argparse.Namespace, wheels: Path, python: Path | None) -> tuple[str, bool]:
    """A data set's line of the table, and whether Headrace is good enough."""
    data, folder = DATA[name], place / name
    folder.mkdir()
    data.table(wheels).to_parquet(folder / "table.parquet", index=False)
    search = f"search: {{timeout: {round(60 * given.minutes)} seconds}}\n"
    (folder / f"{name}.yaml").write_text(data.yaml.format(table=folder / "table.parquet") + search)
    pipeline = headrace.Pipeline.from_yaml(folder / f"{name}.yaml")
    ours: dict[str, Any] = {}
    if given.only == "flaml":
        pipeline.run(to="training_set")
    else:
        ours = headraces(pipeline, data)
    theirs: dict[str, Any] = {}
    if data.metric == "ndcgAtK":
        theirs = {"value": ours["popularity"], "estimator": "popularity", "seconds": 0.0} if ours else {}
    elif python:
        theirs = flaml(pipeline, data, folder, given.minutes, python)
    if "rows" in ours and "rows" in theirs and ours["rows"] != theirs["rows"]:
        raise AssertionError(f"{name}: {ours['rows']} rows were scored by Headrace, {theirs['rows']} by FLAML")
    counted = pipeline.table("training_set").where("label is not null").groupBy("split").count().collect()
    return line(data, {row["split"]: row["count"] for row in counted}, ours, theirs)


def line(data: Data, parts: dict[str, int], ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[str, bool]:
    """As Markdown; positive differences are in Headrace's favour."""
    better, verdict = "", ""
    good = True
    if ours and theirs:
        gain = (ours["value"] - theirs["value"]) / theirs["value"]
        gain = gain if larger_is_better(data.metric) else -gain
        good = gain >= -ALLOWED
        better, verdict = f"{gain:+.2%}", "better" if gain > ALLOWED else "as good" if good else "**worse**"
    rows = " / ".join(f"{parts.get(part, 0):,}" for part in ("train", "validation", "test"))
    cells = [
        data.title,
        rows,
        data.metric,
        *(f"{one['value']:.4f}" if one else "" for one in (ours, theirs)),
        better,
        verdict,
    ]
    cells += [f"{ours['estimator']} of {ours['trials']}" if ours else "", str(theirs.get("estimator", ""))]
    cells += [
        f"{ours['search']:.0f} ({ours['seconds']:.0f})" if ours else "",
        f"{theirs['seconds']:.0f}" if theirs else "",
    ]
    return f"| {' | '.join(cells)} |", good


def main() -> int:
    """Run the contests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", choices=["headrace", "flaml"])
    given = parser.parse_args()
    home = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")).resolve()
    python = environment("quality-peer", *PACKAGES) if given.only != "headrace" else None
    wheels = home / "quality-data"
    wheels.mkdir(parents=True, exist_ok=True)
    session()
    lines, good = [HEAD], True
    with scratch() as place:
        shutil.copytree(home / "jars", Path(place, "home", "jars"))
        for name in given.data.split(","):
            os.environ["HEADRACE_HOME"] = f"{place}/home"
            made, fine = contested(name, Path(place), given, wheels, python)
            print(made, file=sys.stderr)
            lines.append(made)
            good = good and fine
    print("\n".join(lines))
    print(f"\n{given.minutes:g} minutes each, two cores. Load {os.getloadavg()[0]:.1f}.")
    return int(not good)


HEAD = """\
| data | rows: train / validation / test | metric | Headrace | FLAML | difference | verdict | winner of trials | FLAML's winner | \
search (all) s | FLAML s |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


if __name__ == "__main__":
    sys.exit(main())
