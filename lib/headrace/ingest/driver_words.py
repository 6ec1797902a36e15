"""What drivers of databases say against it, in words."""

from __future__ import annotations

import re

_CAUSE = re.compile(r"(?:java\.sql\.\w+|[\w.]*(?:PSQLException|SQL\w*Exception|CommunicationsException)): ([^\n]+)")


def reason_of(error: Exception) -> str | None:
    """What is wrong, and what to do; None where the error does not come from a driver."""
    text = f"{error}\n{getattr(error, '_stackTrace', None) or ''}"  # the driver's own words are a cause of Spark's
    if "ClassNotFoundException" in text or "No suitable driver" in text:
        return (
            "Spark has no driver for this url; name its jar under `packages`, as [org.postgresql:postgresql:42.7.14], and "
            "its class under options.driver. Jars are loaded as a job starts, not into a session that is there"
        )
    found = _CAUSE.findall(text)
    if found:
        return f"{found[-1].strip()}; mend url, table, query, user or password, or look whether the database is up"
    return None
