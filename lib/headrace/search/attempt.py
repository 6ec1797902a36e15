"""Which search is going on: the one that was interrupted, or, when forced, one from the beginning.

The attempts at a search have names: the step's fingerprint, and for those that were forced a `+` and the run that began
them. A trial carries the name of its attempt, so that a killed one goes on where it was and no other's trials count.
"""

from __future__ import annotations

from pyspark.sql import functions as F

from headrace.runtime.step import Run
from headrace.search.ending import HOPELESS
from headrace.search.ledger import BASELINE


def attempt(run: Run) -> str:
    """The name of the attempt that this run continues or begins. Runs Spark jobs.

    Without `--force` the newest, whether interrupted or not. With it a new one, unless the newest was forced as well
    and interrupted: then that one goes on.
    """
    begun = f"{run.fingerprint}+{run.run_id}" if run.forced else run.fingerprint
    if not run.exists("trials"):
        return begun
    ours = (F.substring_index("fingerprint", "+", 1) == run.fingerprint) & ~F.contains("fingerprint", F.lit("#"))
    attempts = run.read("trials").where(ours).groupBy("fingerprint")
    newest = (
        attempts.agg(
            F.max("finished_at").alias("last"),
            F.bool_or(F.col("status") == "winner").alias("won"),
            F.bool_or(F.col("status") == "ok").alias("hopeful"),
            F.count_if(~F.col("status").isin("cancelled", BASELINE)).alias("trials"),
        )
        .orderBy(F.desc("last"), F.desc("fingerprint"))
        .first()
    )
    if newest is None:
        return begun
    conf = run.pipeline.search
    most = HOPELESS if conf.open_ended else conf.max_evals
    left = newest["hopeful"] or newest["trials"] < most  # else there is nothing to go on with
    interrupted = not newest["won"] and left
    forced = "+" in newest["fingerprint"]
    return str(newest["fingerprint"]) if not run.forced or (forced and interrupted) else begun
