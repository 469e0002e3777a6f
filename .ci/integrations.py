"""Print the integrations whose frameworks are installed in this environment."""

import sys
from pathlib import Path

root = Path(__file__).parent.parent
sys.path.insert(0, str(root / "tests" / "integrations"))

from conftest import FRAMEWORKS, is_installed  # noqa: E402

rooms = root / "runtime" / "integrations"
print(*(name for name, package in FRAMEWORKS.items()
        if is_installed(package) and ((rooms / name).exists() or (rooms / f"{name}.py").exists())))  # fmt: skip
