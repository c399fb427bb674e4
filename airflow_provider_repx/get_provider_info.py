"""What Airflow discovers about this provider; the schema is Airflow's `provider_info.schema.json`."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]

_INTEGRATION = "RepX"


def _option(description: str, *, kind: str = "string", default: str | None = None, example: str | None = None) -> Any:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": example,
        "default": default,
    }


def _options() -> dict[str, Any]:
    return {
        "lab": _option(
            "The lab whose runs become DAGs: its directory, or the out link of its build.",
            example="/srv/labs/ising/result",
        ),
        "name": _option(
            "What the lab is called in tags, assets and bundles; stays when the lab is rebuilt.", default="lab"
        ),
        "labs": _option(
            "Several labs: a JSON list of objects with arguments of `repx_dags`, each with a `name`. Replaces `lab`.",
            example='[{"name": "ising", "lab": "/srv/labs/ising/result"}]',
        ),
        "target": _option("Where jobs run: a target of RepX's config.toml, or `local`.", default="local"),
        "base_path": _option(
            "Directory that holds the output store of the target `local`; default: `base_path` in RepX's config.toml.",
            example="/srv/repx",
        ),
        "dag_id_prefix": _option("Put before a run's name to make its DAG id.", default="repx_"),
        "config_file": _option("RepX's config.toml; default: the one that RepX itself would read."),
        "resources_file": _option("RepX's resources.toml: resource defaults and rules that override hints."),
        "cpus": _option("CPUs that local jobs may use at once; default: those of the machine.", kind="integer"),
        "memory": _option("Memory that local jobs may use at once; default: that of the machine.", example="16G"),
        "max_mapped": _option(
            "More sweep points than this are packed several to a task.", kind="integer", default="1000"
        ),
        "retries": _option(
            "How often a task is tried again after a lost worker; a job's own failure is final.",
            kind="integer",
            default="2",
        ),
        "retry_delay": _option("Seconds before a task is tried again.", kind="float", default="10"),
        "retry_failed_jobs": _option("Also try jobs again that exited with an error.", kind="boolean", default="False"),
        "poll_interval": _option(
            "Seconds between looks at the output store while waiting for another run.", kind="float", default="5"
        ),
        "flake": _option(
            "Where the lab is built from: a flake reference with the lab's attribute. Adds a DAG that builds it.",
            example="/srv/labs/ising#lab",
        ),
        "out_link": _option("What that DAG moves to each new build; default: `lab`."),
        "build_schedule": _option(
            "When to build: a cron expression or preset; default: when triggered.", example="@daily"
        ),
        "private_store": _option("Directory of a Nix store of its own, for machines without /nix."),
        "allow_network": _option("Let nix download while it builds the lab.", kind="boolean", default="False"),
    }


def get_provider_info() -> dict[str, Any]:
    """Describe the provider to Airflow (entry point `apache_airflow_provider`)."""
    return {
        "package-name": "airflow-provider-repx",
        "name": "RepX",
        "description": "Runs RepX labs, reproducible computational experiments written in Nix, as DAGs.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "tags": ["software"],
            }
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_provider_repx.operators.job",
                    "airflow_provider_repx.operators.nix_build",
                    "airflow_provider_repx.operators.open_lab",
                    "airflow_provider_repx.operators.summary",
                ],
            }
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_repx.hooks.nix"]}],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_repx.sensors.run"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_repx.triggers.run"]}],
        "bundles": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_repx.bundles.lab"]}],
        "extra-links": ["airflow_provider_repx.links.UpstreamRunLink"],
        "cli": ["airflow_provider_repx.cli.definition.get_cli_commands"],
        "config": {
            "repx": {
                "description": "Labs whose runs become DAGs, and how their jobs are run.",
                "options": _options(),
            }
        },
    }
