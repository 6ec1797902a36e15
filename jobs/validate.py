"""Entry point for spark-submit: see `./spark-submit.sh jobs/validate.py --help`."""

from headrace.cli.analysing.job import main

if __name__ == "__main__":
    main()
