"""Spark's errors in words that a person can act on."""

from __future__ import annotations

import re
from traceback import extract_tb

from headrace.config import secrets
from headrace.errors import ConfigError, DataError, HeadraceError

_MENDABLE = frozenset(
    "UNRESOLVED_COLUMN UNRESOLVED_ROUTINE PARSE_SYNTAX_ERROR DATATYPE_MISMATCH TABLE_OR_VIEW_NOT_FOUND PATH_NOT_FOUND "
    "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY AMBIGUOUS_REFERENCE FIELD_NOT_FOUND INVALID_EXTRACT_FIELD_TYPE "
    "WRONG_NUM_ARGS UNSUPPORTED_DATATYPE DATA_SOURCE_NOT_FOUND MISSING_GROUP_BY UNSUPPORTED_GENERATOR UNBOUND_SQL_PARAMETER "
    "NESTED_AGGREGATE_FUNCTION".split()
)
"""Conditions of Spark that the YAML's author can mend."""
_DATA = frozenset(
    "CAST_INVALID_INPUT DIVIDE_BY_ZERO ARITHMETIC_OVERFLOW DATETIME_FIELD_OUT_OF_BOUNDS CANNOT_PARSE_TIMESTAMP "
    "NUMERIC_VALUE_OUT_OF_RANGE FAILED_READ_FILE MALFORMED_RECORD_IN_PARSING CAST_OVERFLOW CANNOT_PARSE_DECIMAL".split()
)
"""Conditions that come from values in the data."""
_FILES = {
    "FAILED_READ_FILE": "Mend, replace or remove the file, or set source.on_corrupt: skip, which leaves such files out, "
    "names and counts them",
    "COLUMN_ALREADY_EXISTS": "A name may not stand twice; those that differ only by case are told apart with spark: "
    "{stages: {ingest: {spark.sql.caseSensitive: true}}}",
    "UNSUPPORTED_TIME_TYPE": "Write the column as text or as a timestamp",
    "PARQUET_TYPE_ILLEGAL": "Write the files with another type; timestamps of nanoseconds with "
    "coerce_timestamps='us' (pyarrow, pandas)",
}
"""Conditions that come from files, and what to do."""

_JAR = "name its jar: packages: [group:artifact:version] of the source, or --packages before the job"
_ELSEWHERE = {
    r'No FileSystem for scheme "s3n?"': "write s3a:// in place of it",
    r'No FileSystem for scheme "\w+"': f"Spark knows no such file system; {_JAR}",
    r"Class org\.apache\.hadoop\.fs\.[\w.$]+ not found": f"this file system is not among Spark's own; {_JAR}",
    r"Incomplete HDFS URI, no host": "write hdfs://SERVER:PORT/path, or let HADOOP_CONF_DIR name the cluster's settings",
    r"The specified bucket does not exist": "mend the path, or say where the server is: spark: "
    "{spark.hadoop.fs.s3a.endpoint: URL}",
    r"Unable to load credentials|No AWS Credentials provided": "there are no credentials for s3a://; set spark: "
    '{spark.hadoop.fs.s3a.access.key: "${secret:NAME}", spark.hadoop.fs.s3a.secret.key: "${secret:NAME}"}, or give them '
    "as AWS's own programs take them (AWS_ACCESS_KEY_ID, a profile, a role)",
    r"AccessDenied\w*: s3a://|Service: S3, Status Code: 403": "you are not let in; look at the credentials, and at "
    "who may read and write there",
}
"""What stores elsewhere say, and what to do."""

_RAISED = re.compile(r"^(headrace\.errors\.\w+|OverflowError): ")
_HOUSE = re.compile(r"^(headrace\.errors\.\w+|OverflowError): |^the lookup table ")
"""What the house's own code in a worker or a plan raises of the data."""


def _first_lines(text: str, lines: int = 3) -> str:
    kept = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("at ", "JVM stacktrace"))
    ]
    return re.sub(r"\s+", " ", " ".join(kept[:lines])).strip()


_WRAPPERS = frozenset({"TASK_WRITE_FAILED", "JOB_ABORTED", "FAILED_EXECUTE_UDF"})
"""Conditions that only wrap the one that tells."""


def _condition(text: str) -> tuple[str, str] | None:
    """The condition that tells what happened, and its words: `[DIVIDE_BY_ZERO] Division by zero. ...`."""
    found = re.findall(r"\[([A-Z][A-Z0-9_]+)(?:\.[A-Z0-9_]+)?\] *(.*?)(?:SQLSTATE|\n\tat |\Z)", text, re.S)
    telling = [(name, words) for name, words in found if name not in _WRAPPERS] or found
    worker = None if telling else _WORKER.search(text)
    if worker:
        return "PYTHON_EXCEPTION", _python_cause(worker[0])
    if not telling:
        return None
    name, words = telling[0]
    return name, _python_cause(words) if name == "PYTHON_EXCEPTION" else _first_lines(words)


_WORKER = re.compile(r"An exception was thrown from the Python worker.*?(?=JVM stacktrace|\n\tat |\Z)", re.S)
_FRAME = re.compile(r'^\s*File "(?:[^"]*\.zip/)?([^"]+)", line (\d+), in (\S+)', re.M)
_NOT_USERS = re.compile(r"/(pyspark|lib/headrace|site-packages|dist-packages)/|/python3\.\d+/|^(headrace|pyspark)/|^<")


def _python_cause(text: str) -> str:
    """Of a traceback of a Python worker its last line, the exception itself, and where in the user's code it was."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = r"[\w.]+(Error|Exception|Warning)?: "
    cause = next((line for line in reversed(lines) if re.match(named, line)), lines[-1])
    frames = user_frames(text)
    return f"{cause} ({', '.join(frames)})" if frames else cause


def user_frames(text: str) -> list[str]:
    """Where in the user's own code an error in a Python worker was, as `file:line in function`."""
    frames = [f"{file}:{line} in {name}" for file, line, name in _FRAME.findall(text) if not _NOT_USERS.search(file)]
    return list(dict.fromkeys(frames))


def history_gone(error: Exception) -> bool:
    """Whether files of an older version of a Delta table are gone, or its feed was not kept: Spark has no class for that."""
    return any(said in str(error) for said in ("FILE_NOT_EXIST", "MISSING_CHANGE_DATA"))


def in_words(error: Exception) -> str:
    """What an error says, in a line or few; of Spark's errors the condition that tells what happened."""
    found = _condition(str(error))
    return f"{found[1]} [{found[0]}]" if found else _first_lines(str(error))


def translated(error: Exception, step: str) -> Exception:
    """The error to raise: of the house, or as it came where nothing better can be said; without a secret's value."""
    message = secrets.redacted(str(error))
    if isinstance(error, HeadraceError):
        return error if message == str(error) else type(error)(message)
    if spark_ended(error):
        return HeadraceError(
            f"{step}: Spark ended while it worked: somebody stopped the job (SIGTERM, Ctrl-C), the cluster took its driver back, or "
            "memory ran out. What was finished stands; the same command goes on from there"
        )
    found = _condition(message)
    advice = next((told for said, told in _ELSEWHERE.items() if re.search(said, message)), None)
    if found is None and advice and _foreign(error):
        return ConfigError(f"{step}: {_cause(message)}: {advice}")
    if found is None:
        told = _foreign(error) or secrets.held_by(error)
        return HeadraceError(f"{step}: {type(error).__name__}: {_first_lines(message)}") if told else error
    condition, text = found[0], _ANSI.sub("", found[1])
    if condition in _FILES and step.startswith("ingest"):
        return DataError(f"{step}: {text} [{condition}] {_FILES[condition]}")
    if condition in _MENDABLE:
        return ConfigError(f"{step}: {text} [{condition}]{_place(message)} Mend the expression or the name in the YAML")
    if condition == "INVALID_PARAMETER_VALUE" and "regexp" in text:
        return ConfigError(f"{step}: {text} [{condition}] Mend the regular expression in the YAML: Java's are meant")
    if condition in ("PYTHON_EXCEPTION", "USER_RAISED_EXCEPTION") and _HOUSE.search(text):
        return DataError(f"{step}: {_RAISED.sub('', text)}")
    if condition in _DATA:
        return DataError(
            f"{step}: {text} [{condition}]{_place(message)} A value in the data does not allow this; use the forgiving form in the SQL "
            "(try_cast, try_divide, try_to_timestamp, ...) or set such rows aside with a rule"
        )
    return HeadraceError(f"{step}: {text} [{condition}]")


def spark_ended(error: Exception) -> bool:
    """Whether there is no Spark any more that could answer."""
    if isinstance(error, OSError):  # of the connection to the JVM, not to some server
        return isinstance(error, ConnectionError) and any(
            "/py4j/" in one.filename for one in extract_tb(error.__traceback__)
        )
    return type(error).__name__ == "Py4JNetworkError" or "SparkContext was shut down" in str(error)


_ANSI = re.compile(r"""\s*If necessary,? set "spark\.sql\.ansi\.enabled" to "false"[^.]*\.""")
"""Advice of Spark's that is none here: SQL means the same everywhere."""
_FRAGMENT = re.compile(r"== SQL[^\n]*==\n(.{1,300}?)\n\s*\^", re.S)


def _place(message: str) -> str:
    """The SQL that an error of Spark's is about, where it says so."""
    found = _FRAGMENT.search(message)
    return f" In: {_first_lines(found[1])}." if found else ""


def _cause(text: str) -> str:
    """What Java says, without its classes and the call that it came from."""
    first = next((line for line in text.splitlines() if line.startswith(": ")), text).removeprefix(": ")
    told = re.sub(r"\b(?:[a-z]\w*\.)+([A-Z])", r"\1", first).strip()
    return told if len(told) <= 200 else f"{told[:197]}..."


def _foreign(error: Exception) -> bool:
    return type(error).__module__.startswith(("py4j", "pyspark", "delta", "mlflow"))
