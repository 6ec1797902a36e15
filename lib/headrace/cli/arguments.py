"""The command line of spark-submit: `[options of Spark] JOB.py [options of the job]`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from headrace.errors import ConfigError

_WITH_VALUE = """
    --archives --class --conf --deploy-mode --driver-class-path --driver-cores --driver-java-options --driver-
    library-path --driver-memory --exclude-packages --executor-cores --executor-memory --files --jars --keytab
    --kill --master --name --num-executors --packages --principal --properties-file --proxy-user --py-files
    --queue --remote --repositories --status --total-executor-cores
"""
WITH_VALUE = frozenset(_WITH_VALUE.split())
FLAGS = frozenset(("--help", "--load-spark-defaults", "--supervise", "--verbose", "--version"))
SHORT = {"-c": "--conf", "-h": "--help", "-v": "--verbose"}
AS_CONF = {
    "--master": "spark.master",
    "--jars": "spark.jars",
    "--packages": "spark.jars.packages",
    "--py-files": "spark.submit.pyFiles",
    "--deploy-mode": "spark.submit.deployMode",
    "--driver-memory": "spark.driver.memory",
    "--driver-class-path": "spark.driver.extraClassPath",
    "--driver-java-options": "spark.driver.extraJavaOptions",
}
"Options that say the same as a setting; the option wins over `--conf`."


@dataclass(frozen=True)
class CommandLine:
    """A command line, taken apart.

    Attributes:
        options: Options of Spark in their order; a flag has the value None.
        job: The job as it was named, or None.
        arguments: What comes after the job.
    """

    options: tuple[tuple[str, str | None], ...] = ()
    job: str | None = None
    arguments: tuple[str, ...] = field(default=())

    def has(self, option: str) -> bool:
        """Whether an option was given."""
        return any(name == option for name, _ in self.options)

    def last(self, option: str) -> str | None:
        """The value of an option; of several, the last."""
        return next((value for name, value in reversed(self.options) if name == option), None)

    def settings(self) -> dict[str, str]:
        """The settings of Spark that the options amount to."""
        found = dict(_conf(value) for name, value in self.options if name == "--conf" and value is not None)
        found.update({AS_CONF[name]: value for name, value in self.options if name in AS_CONF and value is not None})
        return found

    def without(self, settings: Sequence[str]) -> tuple[str, ...]:
        """The options as arguments, leaving out those that give one of some settings."""
        kept: list[str] = []
        for name, value in self.options:
            given = _conf(value)[0] if name == "--conf" and value is not None else AS_CONF.get(name)
            if given not in settings and name != "--properties-file":
                kept += [name] if value is None else [name, value]
        return tuple(kept)

    def of_job(self, option: str) -> tuple[str, ...]:
        """The values of an option of the job, as `--config FILE` or `--config=FILE`."""
        return tuple(_values(self.arguments, option))


def _conf(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key.strip(), value


def _values(arguments: Sequence[str], option: str) -> Iterator[str]:
    for i, argument in enumerate(arguments):
        if argument == option and i + 1 < len(arguments):
            yield arguments[i + 1]
        elif argument.startswith(f"{option}="):
            yield argument.partition("=")[2]


def parse(arguments: Sequence[str]) -> CommandLine:
    """Take a command line apart as spark-submit does: the first argument that is no option is the job.

    Raises:
        ConfigError: On an option that spark-submit does not know, or one without its value.
    """
    options: list[tuple[str, str | None]] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        name = SHORT.get(name, name)
        if name in FLAGS and not equals:
            options.append((name, None))
        elif name in WITH_VALUE:
            if not equals and not rest:
                raise ConfigError(f"{name} stands without a value; write {name} VALUE before the job")
            value = value if equals else rest.pop(0)
            if name == "--conf" and "=" not in value:
                raise ConfigError(f"--conf {value} is no setting; write --conf KEY=VALUE")
            options.append((name, value))
        else:
            raise ConfigError(_unknown(name))
    return CommandLine(tuple(options), rest[0] if rest else None, tuple(rest[1:]))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, WITH_VALUE | FLAGS, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return (
        f"{name} is no option of spark-submit{hint} Options of Spark stand before the job, those of the job "
        "(--config, --env, --only, ...) after it: "
        "./spark-submit.sh --master local[2] jobs/pipeline.py --config FILE.yaml"
    )
