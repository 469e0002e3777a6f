"""Print the adapters whose frameworks are installed in this environment, and that are modules with types to check."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests" / "integrations"))

from conftest import ADAPTERS, ROOT, is_installed

MODULES = {path.stem for path in (ROOT / "runtime" / "integrations").iterdir()}
print(*(adapter for adapter in ADAPTERS if adapter in MODULES and is_installed(adapter)))
