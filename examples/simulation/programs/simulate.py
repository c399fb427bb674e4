"""Metropolis' algorithm for the two-dimensional Ising model: coupling and Boltzmann constant are 1, no field."""

import argparse
import json
import math
import random
from pathlib import Path


def read_lattice(path: Path) -> list[list[int]]:
    return [[1 if spin == "+" else -1 for spin in row] for row in path.read_text().split()]


def write_lattice(path: Path, lattice: list[list[int]]) -> None:
    path.write_text("".join("".join("+" if spin > 0 else "-" for spin in row) + "\n" for row in lattice))


def sweep(lattice: list[list[int]], accept: list[float], generator: random.Random) -> None:
    """Offer every spin a flip, in a checkerboard's order, so that no spin's neighbors change with it."""
    size = len(lattice)
    draw = generator.random
    for color in (0, 1):
        for y in range(size):
            row, above, below = lattice[y], lattice[y - 1], lattice[(y + 1) % size]
            for x in range((y + color) % 2, size, 2):
                spin = row[x]
                agreement = spin * (row[x - 1] + row[(x + 1) % size] + above[x] + below[x])
                if agreement <= 0 or draw() < accept[agreement]:
                    row[x] = -spin


def observe(lattice: list[list[int]]) -> tuple[float, float]:
    """Energy and magnetization per spin."""
    size = len(lattice)
    energy = magnetization = 0
    for y, row in enumerate(lattice):
        below = lattice[(y + 1) % size]
        for x, spin in enumerate(row):
            energy -= spin * (row[(x + 1) % size] + below[x])
            magnetization += spin
    return energy / size**2, magnetization / size**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--temperature", type=float, required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--sweeps", type=int, required=True)
    parser.add_argument("--series", type=Path, required=True)
    parser.add_argument("--final", type=Path, required=True)
    arguments = parser.parse_args()

    lattice = read_lattice(arguments.start)
    generator = random.Random(f"{arguments.seed}/{arguments.temperature}")
    accept = [math.exp(-2 * agreement / arguments.temperature) for agreement in range(5)]
    # A cold lattice that starts at random may freeze in stripes: cool down slowly, then settle.
    settling = arguments.sweeps // 3
    for number in range(settling):
        warm = arguments.temperature + 2.0 * (1 - number / settling)
        sweep(lattice, [math.exp(-2 * agreement / warm) for agreement in range(5)], generator)
    energies, magnetizations = [], []
    for number in range(arguments.sweeps):
        sweep(lattice, accept, generator)
        if number % 2 == 0:
            energy, magnetization = observe(lattice)
            energies.append(energy)
            magnetizations.append(magnetization)
    write_lattice(arguments.final, lattice)
    record = {
        "label": arguments.label,
        "seed": arguments.seed,
        "size": len(lattice),
        "temperature": arguments.temperature,
        "energy": energies,
        "magnetization": magnetizations,
    }
    arguments.series.write_text(json.dumps(record))
    print(f"{arguments.sweeps} sweeps, {len(energies)} observations")


if __name__ == "__main__":
    main()
