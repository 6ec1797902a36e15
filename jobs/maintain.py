"""Entry point for spark-submit: see `./spark-submit.sh jobs/maintain.py --help`."""

from headrace.cli.tending.maintain import main

if __name__ == "__main__":
    main()
