"""Entry point for spark-submit, for tables that are not on this machine: see `headrace describe --help`."""

from headrace.cli.describe import job

if __name__ == "__main__":
    job()
