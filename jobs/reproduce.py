"""Entry point for spark-submit: see `headrace reproduce --help`."""

from headrace.cli.reproduce import job

if __name__ == "__main__":
    job()
