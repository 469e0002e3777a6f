"""Where content is cut into chunks.

Sizes by measurement (docs/performance.md): small chunks for the text that agents rewrite, larger ones where the number
of chunks would cost more than sharing them saves. A module of its own, because small content needs none of it.
"""

from __future__ import annotations

from typing import Final

from pyfastcdc import FastCDC

__all__ = ["LARGE", "RECORD", "SMALL"]

SMALL: Final = FastCDC(avg_size=16 << 10, min_size=4 << 10, max_size=64 << 10)
LARGE: Final = FastCDC(avg_size=256 << 10, min_size=64 << 10, max_size=1 << 20)
RECORD: Final = FastCDC(avg_size=2 << 10, min_size=512, max_size=8 << 10)
