"""Entry point for spark-submit, for tables that are not on this machine: see `headrace plan --help`."""

from headrace.cli.plan import job

if __name__ == "__main__":
    job()
