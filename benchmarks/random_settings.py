"""Random scans with random settings: plan, PtyPy, .ptyd and standardized file against plain NumPy.

    python benchmarks/random_settings.py --count 5000 --seed 1

Prints what differs, with the two numbers that make it again and the fewest settings that it takes.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/helpers"))

from random_loads import WAYS, disagreement, refused, shrunk
from random_scans import draw


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="combinations that are tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="number of the first combination")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    given = parser.parse_args()
    try:
        from ptypy.utils import verbose

        verbose.set_level("ERROR")
    except ImportError:
        given.ways = [way for way in given.ways if way != "ptypy"]
    failed, tally = 0, Counter[str]()
    for number in range(given.start, given.start + given.count):
        case = draw(given.seed, number)
        problem = disagreement(case, given.ways)
        tally["refused" if refused(case) else "loaded"] += 1
        tally[case.format] += 1
        if problem:
            failed += 1
            smallest = shrunk(case, lambda tried: disagreement(tried, given.ways))
            print(f"{problem}\n  {case}\n  smallest: {smallest}", flush=True)
    print(
        f"{given.count} combinations of seed {given.seed} by {', '.join(given.ways)}: "
        f"{failed} differ; {dict(tally)}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
