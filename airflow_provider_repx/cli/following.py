"""Triggering runs as those that they depend on succeed, and following them to their ends."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_repx.cli.airflow_dags import (
    DagRunView,
    find_dag_run,
    queue_stands_still,
    trigger_dag,
    watch_dag_run,
)
from airflow_provider_repx.cli.failures import where_to_look
from airflow_provider_repx.cli.labs import ChosenLab, lab_option
from airflow_provider_repx.cli.progress import Watch
from airflow_provider_repx.cli.run import Wish
from airflow_provider_repx.cli.status import watch_of
from airflow_provider_repx.cli.tables import clean, print_json
from airflow_provider_repx.errors import StoreError, TransportError

__all__ = ["follow"]

_POLL_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0
"""How long a DAG run may be queued before somebody should look at the scheduler."""


def follow(
    chosen: ChosenLab,
    wishes: Sequence[Wish],
    confs: Mapping[str, Mapping[str, object]],
    arguments: argparse.Namespace,
) -> int:
    """Trigger each run when those before it have succeeded, say what becomes of them; 0 if all succeeded, else 1.

    After a failure, runs that depend on it are not triggered; without `--continue-on-failure` no other ones are either.
    Those under way are waited for. An interruption leaves them running, and says so.
    """
    following = _Following(
        chosen, wishes, confs, lab_option(arguments), arguments.continue_on_failure, arguments.output == "json"
    )
    try:
        following.run_all()
    except KeyboardInterrupt:
        following.say_what_goes_on()
        raise
    if arguments.output == "json":
        print_json(following.describe())
    return 0 if all(state.has_succeeded() for state in following.states.values()) else 1


@dataclass
class _State:
    """What became of one wished run; `jobs` looks at the jobs of its DAG run, of which `failed_jobs` failed."""

    dag_run: DagRunView | None = None
    jobs: Watch | None = None
    failed_jobs: int = 0
    skipped: str = ""
    shown: str = ""
    triggered_at: float = 0.0
    warned: bool = False

    def has_ended(self) -> bool:
        return bool(self.skipped) or (self.dag_run is not None and not self.dag_run.active)

    def has_succeeded(self) -> bool:
        return self.dag_run is not None and self.dag_run.state == "success"


@dataclass
class _Following:
    chosen: ChosenLab
    wishes: Sequence[Wish]
    confs: Mapping[str, Mapping[str, object]]
    lab_option: str
    continue_on_failure: bool
    quiet: bool
    states: dict[str, _State] = field(init=False)

    def __post_init__(self) -> None:
        self.states = {wish.run: _State() for wish in self.wishes}

    def run_all(self) -> None:
        while True:
            for wish in self.wishes:
                self._look_at(wish)
            for wish in self.wishes:
                if not self.states[wish.run].has_ended() and self.states[wish.run].dag_run is None:
                    self._begin(wish)
            if all(state.has_ended() for state in self.states.values()):
                return
            time.sleep(_POLL_SECONDS)

    def say_what_goes_on(self) -> None:
        """Tell which DAG runs an interruption leaves behind."""
        active = [name for name, state in self.states.items() if state.dag_run is not None and not state.has_ended()]
        if active:
            told = clean(f"Still under way: {', '.join(active)}.")
            print(clean(f"{told} `airflow repx cancel RUN{self.lab_option}` ends them."), file=sys.stderr)

    def describe(self) -> list[dict[str, object]]:
        """What became of each run."""
        return [
            {
                "run": name,
                "dag_id": self.chosen.dag_id(name),
                "dag_run_id": None if state.dag_run is None else state.dag_run.run_id,
                "state": "not triggered" if state.dag_run is None else state.dag_run.state,
                "reason": state.skipped,
            }
            for name, state in self.states.items()
        ]

    def _begin(self, wish: Wish) -> None:
        """Trigger a run whose time has come, or settle that it never will."""
        before = {name: self.states[name] for name in wish.after}
        broken = [name for name, state in before.items() if state.has_ended() and not state.has_succeeded()]
        failed = [name for name, state in self.states.items() if state.has_ended() and not state.has_succeeded()]
        state = self.states[wish.run]
        if broken:
            state.skipped = f"it depends on {', '.join(broken)}, which did not succeed"
        elif failed and not self.continue_on_failure:
            state.skipped = (
                f"{', '.join(failed)} did not succeed; --continue-on-failure goes on with runs like this one"
            )
        elif all(other.has_succeeded() for other in before.values()):
            dag_id = self.chosen.dag_id(wish.run)
            state.dag_run = find_dag_run(dag_id, trigger_dag(dag_id, self.confs[wish.run]))
            state.triggered_at = time.monotonic()
            self._say(wish.run, f"triggered {dag_id}, DAG run {state.dag_run.run_id}")
        if state.skipped:
            self._say(wish.run, f"not triggered: {state.skipped}")

    def _look_at(self, wish: Wish) -> None:
        state = self.states[wish.run]
        if state.dag_run is None or state.has_ended():
            return
        state.dag_run = watch_dag_run(state.dag_run.dag_id, state.dag_run.run_id)
        line = f"{state.dag_run.state}{self._jobs(wish, state.dag_run)}"
        if line != state.shown:
            state.shown = line
            self._say(wish.run, line)
        if state.dag_run.state == "queued" and not state.warned:
            self._warn(wish.run, state)
        if state.has_ended() and not state.has_succeeded():
            for hint in where_to_look(state.dag_run, wish.run, self.lab_option, failed_jobs=state.failed_jobs):
                self._say(wish.run, hint)

    def _jobs(self, wish: Wish, dag_run: DagRunView) -> str:
        state = self.states[wish.run]
        if dag_run.started is None:
            return ""
        if state.jobs is None:
            state.jobs = watch_of(self.chosen, wish.run, dag_run, from_its_start=True).jobs
        try:
            progress = state.jobs.look(fresh=not dag_run.active)
        except (StoreError, TransportError):
            # The store cannot be asked for now; the DAG run's state is known all the same.
            return ""
        state.failed_jobs = progress.total("failed")
        return f", {progress.line()}"

    def _warn(self, run: str, state: _State) -> None:
        if time.monotonic() - state.triggered_at < _PATIENCE_SECONDS:
            return
        state.warned = True
        reason = queue_stands_still(self.chosen.dag_id(run))
        if reason:
            print(clean(f"[WARNING] {run} is still queued: {reason}"), file=sys.stderr)

    def _say(self, run: str, text: str) -> None:
        print(clean(f"{run}: {text}"), file=sys.stderr if self.quiet else sys.stdout, flush=True)
