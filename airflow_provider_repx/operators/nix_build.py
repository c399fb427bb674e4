"""Builds a lab inside a DAG."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_repx.building import AttributeSource, ExpressionSource, FileSource, FlakeSource, run_slice
from airflow_provider_repx.errors import CommandKilledError, NixTimeoutError, NixTransientError, RepxError
from airflow_provider_repx.hooks.nix import NixHook
from airflow_provider_repx.lab import Lab, read_lab

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["NixBuildOperator"]


class NixBuildOperator(BaseOperator):
    """Build a lab with Nix on the worker and return its id, path, runs and job counts.

    Exactly one of `flake`, `file` and `expr` says where the lab is. A build that cannot succeed on a retry (the lab
    does not evaluate, the attribute is missing, a builder fails) fails the task at once, whatever its `retries`; the
    exception's `__cause__` tells which it was. A timeout, a lost network or daemon and a locked database are retried.

    Args:
        flake: A directory with a `flake.nix` or a flake reference; the attribute may follow a ``#``. Templated.
        attribute: The lab's attribute; default: the flake's default package, or the value of the file. Templated.
        file: A Nix file instead of a flake.
        expr: A Nix expression instead of a flake. Never templated, since Nix and Jinja share braces.
        run: Build only the slice of the lab that holds this run. Templated.
        out_link: A link that is swapped to the new lab in one step, once it has been read successfully, and keeps it
            from the garbage collector. Without it, a collection may delete the result. Templated.
        private_store: Directory of a Nix store of its own, for machines without `/nix`.
        allow_network: Let nix download: binary caches, flake inputs, registries.
        timeout: Seconds that the build may take.
        max_jobs: How many derivations are built at once; default: what Nix is configured for.

    """

    template_fields: Sequence[str] = ("flake", "attribute", "out_link", "run")
    ui_color = "#cfe3f5"

    def __init__(  # noqa: PLR0913 - an operator's arguments are its settings in the DAG file
        self,
        *,
        flake: str | None = None,
        attribute: str = "",
        file: Path | str | None = None,
        expr: str | None = None,
        run: str | None = None,
        out_link: Path | str | None = None,
        private_store: Path | str | None = None,
        allow_network: bool = False,
        timeout: float = 3600.0,
        max_jobs: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if sum(source is not None for source in (flake, file, expr)) != 1:
            raise ValueError(f"NixBuildOperator {self.task_id!r}: give exactly one of flake, file and expr")
        self.flake = flake
        self.attribute = attribute
        self.file = None if file is None else str(file)
        self.expr = expr
        self.run = run
        self.out_link = None if out_link is None else str(out_link)
        self.private_store = None if private_store is None else str(private_store)
        self.allow_network = allow_network
        self.timeout = timeout
        self.max_jobs = max_jobs

    @cached_property
    def hook(self) -> NixHook:
        """The hook that builds; one for each task instance, so that killing it stops this build only."""
        return NixHook(
            private_store=self.private_store,
            allow_network=self.allow_network,
            timeout=self.timeout,
            max_jobs=self.max_jobs,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Build, read what was built, move the link, and describe the lab, also to the task's asset outlets."""
        try:
            description = self._build()
        except (NixTimeoutError, NixTransientError, CommandKilledError):
            raise
        except RepxError as error:
            raise AirflowFailException(str(error)) from error
        for asset in self.outlets:
            context["outlet_events"][asset].extra = dict(description)
        return description

    def _build(self) -> dict[str, Any]:
        source = self._source()
        if self.out_link is None:
            result = self.hook.build(source)
            return _description(read_lab(result.out_path), None)
        link = Path(self.out_link).expanduser().absolute()
        # A root of its own until the result is known to be a lab: the link never leads to anything else.
        staged = link.with_name(f".{link.name}.next")
        try:
            result = self.hook.build(source, out_link=staged)
            description = _description(read_lab(result.out_path), link)
            self.hook.add_root(result.out_path, link)
        finally:
            staged.unlink(missing_ok=True)
        return description

    def on_kill(self) -> None:
        """Stop nix and its builders; whatever was built so far stays in the store."""
        self.hook.kill()

    def _source(self) -> AttributeSource:
        source: AttributeSource
        if self.flake is not None:
            source = FlakeSource(self.flake, self.attribute)
        elif self.file is not None:
            source = FileSource(Path(self.file), self.attribute)
        else:
            source = ExpressionSource(self.expr or "", self.attribute)
        return source if self.run is None else run_slice(source, self.run)


def _description(lab: Lab, link: Path | None) -> dict[str, Any]:
    """What goes into the XCom: the lab's id and path, its runs, how many jobs each has, and the link."""
    return {
        "lab_id": lab.lab_id,
        "path": str(lab.path),
        "runs": list(lab.run_names),
        "jobs": {name: len(lab.run(name).jobs) for name in lab.run_names},
        "out_link": None if link is None else str(link),
    }
