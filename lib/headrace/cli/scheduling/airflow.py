"""A DAG for Apache Airflow 2 and 3, without a provider for Spark: `BashOperator` on the command that one types."""

from __future__ import annotations

import json
import re
import shlex

from headrace.cli.intervals import reach
from headrace.cli.scheduling.schedules import FOR_GOOD, Call, Planned, There

TEMPLATE = '''\
"""{title}

Written by: {origin}
Change the YAML and write it anew.{needs}
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:  # Airflow 3
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator
try:  # Airflow 3.2 and newer
    from airflow.sdk import CronDataIntervalTimetable
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowFailException, AirflowSkipException
    from airflow.timetables.interval import CronDataIntervalTimetable


class HeadraceJob(BashOperator):
    """A job that fails at once, and for all to see, where trying again would come to the same."""

    def execute(self, context: Any) -> Any:
        try:
            return super().execute(context)
        except AirflowSkipException as refused:  # one of `skip_on_exit_code`
            raise AirflowFailException(
                "not tried again: exit code 2 is a mistake in the configuration, 3 unusable data, 4 a gate that refused "
                f"the model (scoring went on with the present champion). {{refused}}"
            ) from refused


with DAG(
    dag_id={name},
    description={description},
    # each run has the interval between two times of the schedule, and starts when it is over
    schedule=CronDataIntervalTimetable({cron}, timezone={zone}),
    start_date=datetime.fromisoformat({start}),
    catchup={catchup},{why}
    max_active_runs=1,
    tags=["headrace", {pipeline}],
    default_args={{
        "retries": {retries},
        "retry_delay": timedelta(seconds={delay}),
        "skip_on_exit_code": {codes},
        "cwd": {project},
        "env": {{"HEADRACE_HOME": {home}}},
        "append_env": True,
    }},
) as dag:
{tasks}'''
BEGINNING = "1970-01-01T00:00:00+00:00"


def files(schedules: list[Planned], there: There) -> dict[str, str]:
    """A DAG each."""
    return {f"{one.name}.py": dag(one, there) for one in schedules}


def dag(one: Planned, there: There) -> str:
    """The Python of a DAG."""
    schedule = one.schedule
    tasks = "".join(_task(call, one, there) for call in one.calls)
    chain = f"    {' >> '.join(call.job for call in one.calls)}\n" if len(one.calls) > 1 else ""
    why = "" if schedule.start else "  # `start` in the YAML says from when runs are made up"
    return TEMPLATE.format(
        title=_doc(one.title),
        origin=_doc(one.origin),
        needs=_needs(there),
        name=_text(one.name),
        description=_text(one.title),
        cron=_text(one.when.text),
        zone=_text(schedule.time_zone),
        start=_text(schedule.start.isoformat() if schedule.start else BEGINNING),
        catchup=bool(schedule.start),
        why=why,
        pipeline=_text(one.pipeline),
        retries=schedule.retries,
        delay=int(one.delay.total_seconds()),
        codes=list(FOR_GOOD),
        project=_text(there.project),
        home=_text(there.home),
        tasks=tasks + chain,
    )


def _task(call: Call, one: Planned, there: There) -> str:
    command = _plain(shlex.join(call.words(there)))
    parts = [command, *(interval(one) if call.interval else ())]
    lines = "\n".join(f"            {_text(part + ' ' * (part is not parts[-1]))}" for part in parts)
    return f"    {call.job} = HeadraceJob(\n        task_id={_text(call.job)},\n        bash_command=(\n{lines}\n        ),\n    )\n"


def interval(one: Planned) -> tuple[str, str, str]:
    """Arguments by Airflow's templates."""
    end = "{{ data_interval_end.isoformat() }}"
    since = "{{ data_interval_start.isoformat() }}"
    if one.schedule.window:
        seconds = reach(one.schedule).total_seconds()
        since = f"{{{{ (data_interval_end - macros.timedelta(seconds={seconds:g})).isoformat() }}}}"
    return f"--since '{since}'", f"--until '{end}'", f"--as-of '{end}'"


def _plain(text: str) -> str:
    """What is no template, though it may look like one."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _doc(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''").rstrip('"')


def _needs(there: There) -> str:
    if not there.needed:
        return ""
    told = [f"the secrets {', '.join(there.secrets)} (or NAME_FILE for each)"] if there.secrets else []
    told += [f"the variables {', '.join(there.variables)}"] if there.variables else []
    return f"\nThe workers' environment must have {' and '.join(told)}."
