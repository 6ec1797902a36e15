"""Entry point for spark-submit: see `./spark-submit.sh jobs/stream.py --help`."""

from headrace.cli.streaming.job import main

if __name__ == "__main__":
    main()
