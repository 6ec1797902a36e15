"""Entry point for spark-submit: see `./spark-submit.sh jobs/ingest.py --help`."""

from headrace.cli.job import main

if __name__ == "__main__":
    main("ingest")
