"""`headrace init --template NAME`: ready pipelines on real data, to be run, read and changed. Needs no Spark."""

from __future__ import annotations

from pathlib import Path

from headrace.cli.drafting.outfile import keep
from headrace.errors import ConfigError

NAMES = {"delays": " --sample 5%", "churn": " --sample 5%", "fraud": ""}
"""Per template what makes a first run quick; of a rare class a share is too little to learn from."""
FOLDER = Path(__file__).parent / "yaml"


def written(name: str, out: str) -> str:
    """Write a template.

    Args:
        name: One of `NAMES`.
        out: The file.

    Returns:
        What to say about it.

    Raises:
        ConfigError: If there is no such template.
    """
    if name not in NAMES:
        raise ConfigError(f"--template {name}: there is no such template; there are {', '.join(NAMES)}")
    keep((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), out)
    return f"{out}: template {name}\nnext: ./spark-submit.sh jobs/pipeline.py --config {out}{NAMES[name]}\n"
