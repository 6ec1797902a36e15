"""Entry point for spark-submit: see `./spark-submit.sh jobs/feature_values.py --help`."""

from headrace.cli.feature_store.job import main

if __name__ == "__main__":
    main()
