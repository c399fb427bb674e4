"""Results of the example lab in a notebook: the cells begin with `# %%`. Draws what the lab's own run `analysis` draws.

From the checkout, after `make demo`:  .venv/bin/python examples/results.py .demo/lab .demo/repx magnetization.svg
"""

# %% Read the lab, and what its jobs have put into the output store.
import json
import sys
from collections import defaultdict
from statistics import mean, stdev

import matplotlib as mpl
from matplotlib import pyplot as plt

from airflow_provider_repx.lab import read_lab

lab_path, base_path, picture = sys.argv[1:]
measured = read_lab(lab_path).results("simulation", base_path).where(stage="measure", status="succeeded")
print(f"{len(measured)} measurements")

# %% A row has the parameters of its job and of all jobs upstream, and the paths of its outputs.
by_temperature: dict[float, list[float]] = defaultdict(list)
for row in measured:
    values = json.loads(row.outputs["measurement"].read_text())
    by_temperature[float(str(row["temperature"]))].append(values["magnetization"])
    print(row["label"], row["temperature"], row["seed"], values["magnetization"])

# %% Plot.
mpl.use("svg")
temperatures = sorted(by_temperature)
plt.errorbar(
    temperatures,
    [mean(by_temperature[temperature]) for temperature in temperatures],
    yerr=[stdev(by_temperature[temperature]) for temperature in temperatures],
    marker="o",
    capsize=3,
)
plt.xlabel("temperature (J/k)")
plt.ylabel("magnetization per spin")
plt.savefig(picture)
