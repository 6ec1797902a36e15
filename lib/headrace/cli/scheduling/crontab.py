"""Lines of a crontab: absolute commands, a lock, a log."""

from __future__ import annotations

import shlex

from headrace.cli.scheduling.schedules import FOR_GOOD, Planned, There
from headrace.errors import ConfigError

LONGEST = 998
"""Characters of a command that every cron takes."""


def files(schedules: list[Planned], there: There) -> dict[str, str]:
    """One crontab for all."""
    return {f"{schedules[0].pipeline}.crontab": crontab(schedules, there)}


def crontab(schedules: list[Planned], there: There) -> str:
    """The lines, with what must be known of them."""
    needs = f"# {there.needs} must hold NAME=value for: {', '.join(there.needed)}\n" if there.needed else ""
    head = (
        f"# Written by: {schedules[0].origin}\n"
        "# Exit codes 2, 3 and 4 are not tried again, others are; of all but 0 cron sends a mail (MAILTO). A run that is\n"
        "# due while the one before it goes on is left out; a `window` longer than the interval makes up for it.\n"
        "# CRON_TZ holds for the lines below it; crons without it (Debian's) take the machine's zone, see `timedatectl`.\n"
        f"{needs}SHELL=/bin/sh\n"
    )
    return head + "".join(
        f"\n# {one.title}\nCRON_TZ={one.schedule.time_zone}\n{one.when.text} {_line(one, there)}\n" for one in schedules
    )


def _line(one: Planned, there: There) -> str:
    """The command; `%` is a new line to cron unless escaped.

    Raises:
        ConfigError: If it is too long for cron.
    """
    line = command(one, there).replace("%", r"\%")
    if len(line) > LONGEST:
        raise ConfigError(
            f"the command of {one.name} has {len(line)} characters, and cron takes {LONGEST}; "
            "shorten paths and arguments, or take --to systemd"
        )
    return line


def command(one: Planned, there: There) -> str:
    """What the shell runs: lock, jobs, tries, log."""
    needs = f"set -a && . {shlex.quote(there.needs)} && set +a && " if there.needed else ""
    for_good = "|".join(map(str, (0, *FOR_GOOD)))
    tries, work = one.schedule.retries + 1, _jobs(one, there)
    if tries > 1:
        numbers = " ".join(str(number) for number in range(1, tries + 1))
        again = f"[ $i = {tries} ] || /bin/sleep {int(one.delay.total_seconds())}"
        work = f"for i in {numbers}; do {work}; case $c in {for_good}) break;; esac; {again}; done"
    return (
        f"cd {shlex.quote(there.project)} && export HEADRACE_HOME={shlex.quote(there.home)} && {needs}"
        f'/bin/mkdir -p "$HEADRACE_HOME/logs" && L="$HEADRACE_HOME/logs/{one.name}" && '
        f'{{ /usr/bin/flock -n 9 || {{ echo still running; exit; }}; {work}; }} 9>"$L.lock" >>"$L.log" 2>&1; '
        f'[ ${{c:-1}} -eq 0 ] || echo "{one.name} ended with exit code $c, see $L.log"'
    )


def _jobs(one: Planned, there: There) -> str:
    """All jobs, up to the first that fails; `c` is its exit code."""
    lines = [shlex.join(call.words(there, "--schedule", one.key)) for call in one.calls]
    if len(lines) == 1:
        return f"{lines[0]}; c=$?"
    line = lines[0].replace(f"jobs/{one.calls[0].job}.py", "jobs/$j.py", 1)
    return f"for j in {' '.join(call.job for call in one.calls)}; do {line}; c=$?; [ $c = 0 ] || break; done"
