"""What registered models need of the tables: their tags, and what those versions were made of."""

from __future__ import annotations

from headrace.models.needed import lineage, oldest, tagged
from headrace.models.version import Version
from headrace.runtime.commits import Commit


class Log:
    """A log of commits that name their inputs."""

    def __init__(self, inputs: dict[tuple[str, int], dict[str, int]]) -> None:
        self.inputs = inputs

    def versions(self, table: str) -> list[int]:
        return [version for name, version in self.inputs if name == table]

    def commit(self, table: str, version: int) -> Commit:
        return Commit(version, 0, "WRITE", None, {"inputs": self.inputs[table, version]})


def test_the_oldest_version_of_all_that_models_were_made_of() -> None:
    tags = ['{"training_set": 7, "trials": 3}', '{"training_set": 4, "trials": 1}']
    versions = [
        Version("shop", number, "r", {"tables": text, "training_set_version": str(5 - number)})
        for number, text in enumerate(tags)
    ]
    log = Log(
        {
            ("training_set", 7): {"orders": 9, "facts": 2},
            ("training_set", 5): {"orders": 8},
            ("orders", 8): {"raw_orders": 6, "orders_quarantine": 8},
            ("orders_quarantine", 8): {"raw_orders": 5},
            ("facts", 2): {"orders": 9},
            ("raw_orders", 5): {"raw_orders": 5},
        }
    )
    needed = oldest(lineage(log, tagged([*versions, Version("shop", 9, "r", {})])))
    assert needed == {
        "training_set": 4, "trials": 1, "orders": 8, "facts": 2, "raw_orders": 5, "orders_quarantine": 8,
    }  # fmt: skip
