"""docs/data/ingest.md names every form."""

from __future__ import annotations

import re
from pathlib import Path

from greenroom.runtime.ingest import formats

PAGE = Path(__file__).parents[3] / "docs" / "data" / "ingest.md"


def test_every_form_is_on_the_page() -> None:
    """Each form is a name in the code of its reader."""
    text = PAGE.read_text("utf-8")
    folder = Path(formats.__file__).parent
    sources = "".join(path.read_text("utf-8") for path in [folder / "formats.py", *(folder / "forms").glob("*.py")])
    forms = set(re.findall(r'(?:whole|_tree_of_list|conversation)\(\s*"([\w-]+)"', sources))
    assert len(forms) >= 14
    assert not [form for form in forms if f"`{form}`" not in text]
