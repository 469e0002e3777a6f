"""What operations cost as a store grows: 10^3 to 10^5 sessions, events, messages, artifacts, versions, records, tags
and shares, to 10^7 by option. Stores of all sizes are open at once and take turns, so that what else the machine does
hits them alike. What grows linearly although it need not read all is a defect, and printed in bold; exit code 1.

Run: python perf/growth.py [--largest 6] [--only sessions]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from sizes.sessions import SESSIONS
from sizes.tables import Growth, grown, markdown
from sizes.within import WITHIN


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smallest", type=int, default=3, metavar="N", help="begin at ten to the N (default: 3)")
    parser.add_argument("--largest", type=int, default=5, metavar="N", help="go to ten to the N (default: 5)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="tables whose name contains this")
    parser.add_argument("--operation", default="", metavar="PATTERN", help="operations whose name contains this")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "out" / "growth.json")
    parser.add_argument("--directory", type=Path, help="on this disk (default: temporary files)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    console = Console()
    sizes = [10**power for power in range(options.smallest, options.largest + 1)]
    found: list[Growth] = []
    with console.status("measuring") as status:
        for table in (each for each in (SESSIONS, *WITHIN) if options.only in each.name):
            chosen = {name: each for name, each in table.operations.items() if options.operation in name}
            if chosen:
                with tempfile.TemporaryDirectory(prefix="greenroom-growth-", dir=options.directory) as folder:
                    wanted = type(table)(table.name, table.fill, chosen, table.most)
                    found += grown(wanted, sizes, Path(folder), status.update)
                print(markdown([each for each in found if each.table == table.name]), "\n", flush=True)
    defects = [each for each in found if each.is_defect]
    print(*(f"grows without need: {each.table}: {each.operation}" for each in defects), sep="\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", encoding="utf-8")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
