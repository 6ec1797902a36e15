"""Which columns of the spine give the label away."""

from __future__ import annotations

from headrace.config.checks.leaks import derived_from
from headrace.config.types import Table

TABLE = Table.model_validate(
    {
        "source": {"format": "csv", "path": "/orders.csv"},
        "columns": {
            "days_kept": "datediff(returned_at, ordered_at)",
            "kept_long": "days_kept > 30",
            "weekday": "weekday(ordered_at)",
            "amount_net": "amount / 1.2",
        },
        "key": ["customer", "ordered_at"],
        "event_time": "ordered_at",
    }
)


def test_what_the_label_names_and_what_comes_of_it_is_hidden() -> None:
    assert derived_from({"days_kept"}, TABLE) == {"days_kept", "returned_at", "kept_long"}


def test_keys_and_clocks_stay_though_the_label_names_them() -> None:
    assert derived_from({"Returned_At", "ORDERED_AT", "customer"}, TABLE) == {"returned_at", "days_kept", "kept_long"}


def test_a_label_of_one_column_hides_only_that() -> None:
    assert derived_from({"amount"}, TABLE) == {"amount", "amount_net"}
