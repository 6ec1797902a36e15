"""Entry point for spark-submit: see `./spark-submit.sh jobs/publish.py --help`."""

from headrace.cli.publishing.job import main

if __name__ == "__main__":
    main()
