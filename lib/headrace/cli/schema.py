"""`headrace schema`: the JSON schema of a pipeline's YAML."""

from __future__ import annotations

import sys

from headrace.config.schema import schema_text


def schema() -> None:
    """Print the JSON schema of a pipeline, for editors that check YAML as it is typed.

    Example: headrace schema > conf/headrace.schema.json
    """
    sys.stdout.write(schema_text() + "\n")
