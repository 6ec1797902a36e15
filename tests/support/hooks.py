"""The example of docs/hooks.md, as files."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hooks.md"


def written(folder: Path) -> str:
    """Write the example's Python into a folder.

    Returns:
        Its YAML.
    """
    blocks = re.findall(r"```(?:yaml|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    yaml, shop, models = blocks[:3]  # the page's example; what follows are others
    (folder / "my_shop.py").write_text(shop, encoding="utf-8")
    (folder / "my_models.py").write_text(models, encoding="utf-8")
    return str(yaml)
