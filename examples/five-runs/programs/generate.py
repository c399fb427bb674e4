"""Sixty points on a cubic curve, with noise."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    noise = random.Random(arguments.seed)
    places = [noise.uniform(-2, 2) for _ in range(60)]
    points = [(x, x**3 - 2 * x + noise.gauss(0, 0.3)) for x in places]
    arguments.output.write_text(json.dumps(points))


if __name__ == "__main__":
    main()
