"""Averages of one simulation: magnetization, energy, susceptibility and heat capacity per spin."""

import argparse
import json
from pathlib import Path
from statistics import fmean, pvariance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    series = json.loads(arguments.series.read_text())
    spins = series["size"] ** 2
    temperature = series["temperature"]
    absolute = [abs(value) for value in series["magnetization"]]
    measurement = {
        "label": series["label"],
        "temperature": temperature,
        "seed": series["seed"],
        "magnetization": fmean(absolute),
        "energy": fmean(series["energy"]),
        "susceptibility": spins * pvariance(absolute) / temperature,
        "heat_capacity": spins * pvariance(series["energy"]) / temperature**2,
    }
    arguments.output.write_text(json.dumps(measurement, indent=2) + "\n")
    print(
        f"T={temperature} seed={series['seed']}: |m|={measurement['magnetization']:.3f} e={measurement['energy']:.3f}"
    )


if __name__ == "__main__":
    main()
