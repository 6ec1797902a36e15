"""A version's own modules beside the user's of now, and hashes of what modules do."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.config import modules
from headrace.config.types import Pipeline
from headrace.runtime import hooks, own_code
from headrace.runtime.own_code import as_trained, kept

TABLE = {"source": {"python": "my_source:rows"}}


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What of a session ships modules."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    path, finders = list(sys.path), list(sys.meta_path)
    context = SimpleNamespace(environment={}, _python_includes=[])
    context.addPyFile = lambda file: (context._python_includes.append(Path(file).name), sys.path.insert(1, file))
    yield SimpleNamespace(sparkContext=context)
    sys.path[:], sys.meta_path[:] = path, finders
    for name in ("my_source", "my_helper"):
        sys.modules.pop(name, None)


def test_a_version_keeps_its_modules_while_the_users_go_on(spark: Any, tmp_path: Path) -> None:
    then = tmp_path / "then"
    (then / "pack").mkdir(parents=True)
    (then / "my_source.py").write_text("import my_helper\nsaid = 'then, ' + my_helper.said\n")
    (then / "my_helper.py").write_text("said = 'then'\n")
    (tmp_path / "my_source.py").write_text("import my_helper\nsaid = 'now, ' + my_helper.said\n")
    (tmp_path / "my_helper.py").write_text("said = 'now'\n")
    pipeline = Pipeline.model_validate({"pipeline": "p", "tables": {"t": TABLE}}).beside(tmp_path)
    hooks.ready(spark, pipeline)
    now, shipped = importlib.import_module("my_source"), list(spark.sparkContext._python_includes)
    marked, path = dict(spark.sparkContext.environment), list(sys.path)
    sources = kept(then)
    seen = []
    for _ in range(2):
        with as_trained(spark, sources):
            seen.append(importlib.import_module("my_source"))
            assert seen[-1].said == "then, then"
            assert spark.sparkContext.environment != marked
            assert len([n for n in spark.sparkContext._python_includes if n.startswith(hooks.PREFIX)]) == 1
            assert spark.sparkContext._python_includes != shipped
        assert importlib.import_module("my_source") is now
        assert (now.said, importlib.import_module("my_helper").said) == ("now, now", "now")
        assert (spark.sparkContext._python_includes, spark.sparkContext.environment) == (shipped, marked)
        assert sys.path == path
    assert seen[0] is seen[1]  # its classes are the same, however often it predicts
    assert str(own_code.home()) in (seen[0].__file__ or "")

    with as_trained(spark, modules.with_imports(["my_source"], [tmp_path])):  # the same files: nothing to do
        assert importlib.import_module("my_source") is now


def test_comments_and_layout_of_a_module_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "my_helper.py").write_text("A = 1\n")
    plain = "import my_helper\n\n\ndef f(x):\n    return x + my_helper.A\n"
    texts = {
        "plain": plain,
        "same": '"""What it is."""\nimport my_helper\n\ndef f( x ):\n    """Adds."""\n    # as asked\n    return x+my_helper.A\n',
        "other": plain.replace("+", "-"),
    }
    found = {}
    for name, text in texts.items():
        (tmp_path / "my_source.py").write_text(text)
        found[name] = modules.meanings(["my_source:f"], [tmp_path])
    assert set(found["plain"]) == {"my_source", "my_helper"}
    assert found["plain"] == found["same"]
    assert found["plain"]["my_source"] != found["other"]["my_source"]
    assert found["plain"]["my_helper"] == found["other"]["my_helper"]
    (tmp_path / "my_source.py").write_text("def f(:\n")
    assert modules.meanings(["my_source:f"], [tmp_path])["my_source"] != found["plain"]["my_source"]
