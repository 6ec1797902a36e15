"""Entry point for spark-submit: see `./spark-submit.sh jobs/profile_data.py --help`."""

from headrace.cli.profiling.job import main

if __name__ == "__main__":
    main()
