"""Every fourth point is for testing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    points = json.loads(arguments.points.read_text())
    parts = {
        "learn": [point for number, point in enumerate(points) if number % 4],
        "test": points[::4],
    }
    arguments.output.write_text(json.dumps(parts))


if __name__ == "__main__":
    main()
