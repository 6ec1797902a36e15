"""A service and a timer of systemd."""

from __future__ import annotations

import re

from headrace.cli.scheduling.schedules import FOR_GOOD, Planned, There
from headrace.config.cron import DAYS, Cron

SERVICE = """\
# Written by: {origin}{needs}
[Unit]
Description={title}
Wants=network-online.target
After=network-online.target
# so many starts in all, until the next run is due
StartLimitIntervalSec={limit}
StartLimitBurst={tries}

[Service]
Type=oneshot
WorkingDirectory={project}
Environment={home}{file}
{jobs}
Restart={restart}
# these would come again: the configuration, the data, a gate
RestartPreventExitStatus={codes}
RestartSec={delay}
"""
TIMER = """\
# Written by: {origin}
[Unit]
Description={title}

[Timer]
OnCalendar={calendar}
# a run that was due while the machine was off is made up when it is on
Persistent=true

[Install]
WantedBy=timers.target
"""


def files(schedules: list[Planned], there: There) -> dict[str, str]:
    """A service and a timer each; two runs of a service never overlap."""
    made: dict[str, str] = {}
    for one in schedules:
        made[f"headrace-{one.name}.service"] = service(one, there)
        made[f"headrace-{one.name}.timer"] = TIMER.format(
            origin=_line(one.origin), title=_percent(one.title), calendar=calendar(one.when, one.schedule.time_zone)
        )
    return made


def service(one: Planned, there: There) -> str:
    """The unit that runs the jobs."""
    jobs = (" ".join(map(quoted, call.words(there, "--schedule", one.key))) for call in one.calls)
    needed = f"\n# {there.needs} must hold NAME=value for: {', '.join(there.needed)}" if there.needed else ""
    return SERVICE.format(
        origin=_line(one.origin),
        needs=needed,
        title=_percent(one.title),
        # a little less than to the next run: its start counts anew
        limit=max(int(one.when.shortest.total_seconds()) - 30, 30),
        tries=one.schedule.retries + 1,
        restart="on-failure" if one.schedule.retries else "no",
        project=_percent(there.project),
        home=quoted(f"HEADRACE_HOME={there.home}", variables=False),
        file=f"\nEnvironmentFile={_percent(there.needs)}" if there.needed else "",
        jobs="\n".join(f"ExecStart={job}" for job in jobs),
        codes=" ".join(map(str, FOR_GOOD)),
        delay=int(one.delay.total_seconds()),
    )


def calendar(when: Cron, zone: str) -> str:
    """A cron expression as systemd's calendar event.

    >>> from headrace.config.cron import parse
    >>> calendar(parse("*/30 3 * * mon-fri"), "UTC")
    'Mon,Tue,Wed,Thu,Fri *-*-* 03:00,30:00 UTC'
    """
    names = [DAYS[day].capitalize() for day in sorted(when.weekdays, key=lambda day: (day - 1) % 7)]
    weekdays = "" if len(names) == 7 else f"{','.join(names)} "
    date = f"*-{_two(when.months, 12)}-{_two(when.days, 31)}"
    return f"{weekdays}{date} {_two(when.hours, 24)}:{_two(when.minutes, 60)}:00 {zone}"


def _two(values: tuple[int, ...], all_of_them: int) -> str:
    return "*" if len(values) == all_of_them else ",".join(f"{value:02}" for value in values)


def quoted(word: str, variables: bool = True) -> str:
    """A word of a command line, which systemd gives to the program as it is.

    Args:
        word: The word.
        variables: Whether systemd replaces variables where it stands.
    """
    text = word.replace("%", "%%")
    text = text.replace("$", "$$") if variables else text
    if re.fullmatch(r"[\w@%+=:,./$-]+", text, re.ASCII):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _percent(text: str) -> str:
    return _line(text).replace("%", "%%")


def _line(text: str) -> str:
    return " ".join(text.split())
