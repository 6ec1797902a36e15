"""Entry point for spark-submit: see `./spark-submit.sh jobs/replay.py --help`."""

from headrace.cli.tending.replay import main

if __name__ == "__main__":
    main()
