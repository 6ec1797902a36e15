"""Entry point for spark-submit: see `./spark-submit.sh jobs/init.py --help`."""

from headrace.cli.drafting.job import main

if __name__ == "__main__":
    main()
