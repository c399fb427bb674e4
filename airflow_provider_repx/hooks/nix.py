"""The nix command for tasks: builds with the log in the task's log."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook

from airflow_provider_repx.building import BuildProgress, BuildResult, Nix, NixSource, PathInfo, find_nix
from airflow_provider_repx.building.process import ProcessRunner

__all__ = ["NixHook"]


class NixHook(BaseHook):
    """Builds and evaluates with Nix on the worker; needs no connection and no setting of the user's.

    Args:
        private_store: Directory of a Nix store of its own, for machines without `/nix`; default: the machine's store.
        allow_network: Let nix download: binary caches, flake inputs, registries.
        timeout: Seconds that one build may take.
        max_jobs: How many derivations are built at once; default: what Nix is configured for.
        logger_name: The name of the logger, as for every hook.

    """

    hook_name = "Nix"

    def __init__(
        self,
        *,
        private_store: Path | str | None = None,
        allow_network: bool = False,
        timeout: float = 3600.0,
        max_jobs: int | None = None,
        logger_name: str | None = None,
    ) -> None:
        super().__init__(logger_name=logger_name)
        self.private_store = None if private_store is None else Path(private_store)
        self.allow_network = allow_network
        self.timeout = timeout
        self.max_jobs = max_jobs
        self._runner = ProcessRunner()

    @cached_property
    def nix(self) -> Nix:
        """The nix command of this worker; raises `NixNotFoundError`."""
        return Nix(
            find_nix(),
            private_store=self.private_store,
            allow_network=self.allow_network,
            timeout=self.timeout,
            max_jobs=self.max_jobs,
            runner=self._runner,
        )

    def get_conn(self) -> Nix:
        """The nix command of this worker; there is nothing to connect to."""
        return self.nix

    def build(self, source: NixSource | str, *, out_link: Path | str | None = None) -> BuildResult:
        """Build with progress and the builders' output in the log; as `Nix.build`, which tells the errors."""
        progress = BuildProgress(self.log.info)
        result = self.nix.build(source, out_link=None if out_link is None else Path(out_link), on_event=progress)
        progress.finish()
        self.log.info("Result: %s", result.out_path)
        return result

    def add_root(self, store_path: Path | str, link: Path | str) -> None:
        """Point a link to a store path and keep the path as long as the link is there; as `Nix.add_root`."""
        self.nix.add_root(Path(store_path), Path(link))

    def eval(self, source: NixSource | str, *, apply: str | None = None) -> Any:
        """The value of an attribute as JSON data; as `Nix.eval`."""
        return self.nix.eval(source, apply=apply)

    def path_info(self, store_path: Path | str) -> PathInfo:
        """What the store knows about a path; as `Nix.path_info`."""
        return self.nix.path_info(Path(store_path))

    def kill(self) -> None:
        """Stop whatever nix is doing for this hook, builders included; the hook runs nothing more."""
        self._runner.kill()
