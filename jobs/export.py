"""Entry point for spark-submit: see `headrace export --help`."""

from headrace.cli.export import job

if __name__ == "__main__":
    job()
