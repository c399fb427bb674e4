"""The demo: builds the example lab, runs it in an Airflow of its own, and shows what came out.

`python -m tools.demo start` and `stop` are what ``make demo`` and ``make stop`` call. Everything is kept in one folder
of the checkout, ``.demo``: a private Nix store, Airflow's home, the output store.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from airflow_provider_repx.building import BuildProgress, FileSource, Nix
from airflow_provider_repx.errors import RepxError
from airflow_provider_repx.execution.store import JobStatus
from airflow_provider_repx.lab import Lab, read_lab
from tools.airflow_local import AirflowInstance, AirflowLocalError, DagBundle, wait_until
from tools.demo_progress import RunProgress, show_progress
from tools.demo_results import print_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.airflow_local import DagRun, TaskInstance

CHECKOUT = Path(__file__).resolve().parents[1]
LAB_FILE = CHECKOUT / "examples/simulation/default.nix"
LAB_NAME = "simulation"
RUNS = ("simulation", "analysis")
DAG_PREFIX = "repx_"
FAILURES_SHOWN = 3
LOG_LINES_SHOWN = 25


@dataclass(frozen=True)
class Folders:
    """Where the demo keeps things: all below `root`."""

    root: Path

    @property
    def lab(self) -> Path:
        """The out link of the lab's build."""
        return self.root / "lab"

    @property
    def nix(self) -> Path:
        """The private Nix store's root."""
        return self.root / "nix"

    @property
    def airflow(self) -> Path:
        """Airflow's home."""
        return self.root / "airflow"

    @property
    def base_path(self) -> Path:
        """RepX's base path, which holds the output store."""
        return self.root / "repx"

    @property
    def shell_file(self) -> Path:
        """What a shell sources to use the demo's Airflow."""
        return self.root / "env.sh"


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def airflow_of(folders: Folders, console: Console) -> AirflowInstance:
    """The demo's Airflow, running or not."""
    bundle = DagBundle(
        LAB_NAME,
        "airflow_provider_repx.bundles.RepxLabBundle",
        {"lab": str(folders.lab), "lab_name": LAB_NAME, "settings": {"base_path": str(folders.base_path)}},
    )
    # For labs of one's own beside the example.
    own = DagBundle.local("dags-folder", folders.airflow / "dags")
    overrides = {
        "AIRFLOW__REPX__LAB": str(folders.lab),
        "AIRFLOW__REPX__NAME": LAB_NAME,
        "AIRFLOW__REPX__BASE_PATH": str(folders.base_path),
    }
    return AirflowInstance(folders.airflow, bundles=[bundle, own], overrides=overrides, report=console.print)


def build_lab(folders: Folders, console: Console) -> Lab:
    """Build the example lab into the private store; quick where nothing has changed."""
    nix = Nix.find(private_store=folders.nix, timeout=600)
    console.print(f"Building the lab {LAB_FILE.relative_to(CHECKOUT)}")
    progress = BuildProgress(lambda line: console.print(f"  {line}", markup=False))
    nix.build(FileSource(LAB_FILE), out_link=folders.lab, on_event=progress)
    progress.finish()
    lab = read_lab(folders.lab)
    jobs = sum(len(lab.run(name).jobs) for name in RUNS)
    console.print(f"  {jobs} jobs in the runs {' and '.join(RUNS)}: {lab.path}", soft_wrap=True)
    return lab


def trigger(airflow: AirflowInstance, lab: Lab, name: str) -> DagRun:
    """Trigger the run's DAG once Airflow has read it from this very build of the lab."""
    api = airflow.api
    dag_id = f"{DAG_PREFIX}{name}"

    def known() -> bool:
        if errors := api.import_errors():
            raise DemoError(f"Airflow cannot read the lab's DAGs:\n{errors[0].stack_trace}")
        dag = api.dags().get(dag_id)
        return dag is not None and dag.bundle_version == lab.path.name

    log = airflow.component_log("dag-processor")
    wait_until(
        known, timeout=120, what=f"Airflow reading {dag_id} from {lab.path.name}; its DAG processor's log: {log}"
    )
    return api.trigger(dag_id)


def count_done(lab: Lab, name: str, folders: Folders) -> tuple[int, int]:
    """How many jobs of a run are done in the output store, and how many there are."""
    results = lab.results(name, folders.base_path)
    return len(results.where(status=JobStatus.SUCCEEDED)), len(results)


def follow(airflow: AirflowInstance, lab: Lab, runs: Sequence[DagRun], folders: Folders, console: Console) -> None:
    """Show progress until all runs have ended; raises `DemoError` with the failing task's log when one fails."""
    with show_progress(console, RUNS) as show:

        def ended() -> bool:
            states = [airflow.api.dag_run(run.dag_id, run.run_id) for run in runs]
            for name, state in zip(RUNS, states, strict=True):
                show(RunProgress(name, state.state, *count_done(lab, name, folders)))
            return all(state.finished for state in states) or any(state.state == "failed" for state in states)

        wait_until(ended, timeout=1800, what="the end of the runs (Airflow is left running: look at its web page)")
    for run in runs:
        if airflow.api.dag_run(run.dag_id, run.run_id).state != "success":
            raise DemoError(describe_failure(airflow, run))


def describe_failure(airflow: AirflowInstance, run: DagRun) -> str:
    """Which tasks of a run failed, with the ends of their logs."""
    failed = [task for task in airflow.api.task_instances(run.dag_id, run.run_id) if task.state == "failed"]
    # The summary fails because others did: it explains nothing where there are others.
    failed.sort(key=lambda task: (task.map_index < 0, task.task_id, task.map_index))
    texts = [f"{run.dag_id} {run.run_id} failed."]
    texts += [_log_end(airflow, run, task) for task in failed[:FAILURES_SHOWN]]
    return "\n\n".join(texts)


def _log_end(airflow: AirflowInstance, run: DagRun, task: TaskInstance) -> str:
    label = "" if task.map_index < 0 else f" [{task.rendered_map_index or task.map_index}]"
    try:
        text = airflow.api.log_text(
            run.dag_id, run.run_id, task.task_id, map_index=task.map_index, attempt=task.try_number
        )
    except AirflowLocalError as error:
        text = f"(its log cannot be read: {error})"
    # Lines that only fold parts of the log in the web page say nothing here.
    lines = [line for line in text.splitlines() if not line.startswith("::")]
    return f"Task {task.task_id}{label}, last lines of its log:\n" + "\n".join(lines[-LOG_LINES_SHOWN:])


def say_what_next(airflow: AirflowInstance, folders: Folders, console: Console) -> None:
    """How to look around, to run it again, and to stop it."""
    settings = airflow.settings
    source = f". {_shown(folders.shell_file)}"
    console.print(
        f"\nWeb page:     {settings.url}   user {settings.user}, password {settings.password}\n"
        f"Run it again: {source}; airflow dags trigger {DAG_PREFIX}{RUNS[0]}\n"
        f"Results:      {source}; airflow repx results {RUNS[0]}\n"
        "Stop it:      make stop",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _shown(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def start(folders: Folders, console: Console) -> None:
    """The whole demo; what it started stays up at the end, and after a failure, to be looked at."""
    folders.base_path.mkdir(parents=True, exist_ok=True)
    lab = build_lab(folders, console)
    airflow = airflow_of(folders, console)
    was_running = airflow.is_running()
    try:
        airflow.start()
        airflow.write_shell_file(folders.shell_file)
        for name in RUNS:
            done, total = count_done(lab, name, folders)
            if done:
                console.print(f"{done} of {total} jobs of {name} are done already: reused")
        begun = time.monotonic()
        runs = [trigger(airflow, lab, name) for name in RUNS]
        follow(airflow, lab, runs, folders, console)
        console.print(f"Both runs succeeded after {time.monotonic() - begun:.0f} s")
    except KeyboardInterrupt:
        if not was_running:
            console.print("Interrupted: stopping Airflow")
            airflow.stop()
        raise
    print_outputs(lab.results(RUNS[1], folders.base_path), console)
    say_what_next(airflow, folders, console)


def stop(folders: Folders, console: Console) -> None:
    """End every process of the demo."""
    ended = airflow_of(folders, console).stop()
    console.print(f"Stopped: {ended} processes ended." if ended else "Nothing of the demo is running.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code: 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("--folder", type=Path, default=CHECKOUT / ".demo", help="where everything is kept")
    options = parser.parse_args(arguments)
    folders = Folders(options.folder.resolve())
    console = Console(highlight=False)
    try:
        {"start": start, "stop": stop}[options.command](folders, console)
    except KeyboardInterrupt:
        return 130
    except (RepxError, AirflowLocalError, DemoError) as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False, soft_wrap=True)
        if options.command == "start" and airflow_of(folders, console).is_running():
            say_what_next(airflow_of(folders, console), folders, console)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
