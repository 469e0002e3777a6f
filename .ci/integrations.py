"""Print the adapters whose frameworks are installed in this environment."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests" / "integrations"))

from conftest import ADAPTERS, is_installed

print(*(adapter for adapter in ADAPTERS if is_installed(adapter)))
