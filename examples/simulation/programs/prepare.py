"""A square lattice of random spins: one line per row, `+` for up and `-` for down."""

import argparse
import random
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    rows = ["".join(generator.choice("+-") for _ in range(arguments.size)) for _ in range(arguments.size)]
    arguments.output.write_text("\n".join(rows) + "\n")
    print(f"{arguments.size} x {arguments.size} spins with seed {arguments.seed}")


if __name__ == "__main__":
    main()
