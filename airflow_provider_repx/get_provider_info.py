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
        "slurm_conn_id": _option(
            "Connection of type `slurm`: jobs run on that cluster. It may lack what config.toml says about `target`.",
            example="cluster",
        ),
        "partition": _option("Slurm partition of jobs that name none; default: the connection's, else the cluster's."),
        "account": _option("Slurm account that jobs are charged to; default: the connection's."),
        "qos": _option("Slurm quality of service of jobs; default: the connection's."),
        "partitions": _option(
            "What Slurm partitions offer, as JSON; wins over what `airflow repx pools --discover` found.",
            example='{"gpu": {"cpus": 64, "memory": "512G"}}',
        ),
        "start": _option(
            "Where Slurm jobs start from: `triggerer` (also `auto`), or `worker`, which waits for a pool's slot first.",
            default="auto",
        ),
        "dag_id_prefix": _option("Put before a run's name to make its DAG id.", default="repx_"),
        "config_file": _option("RepX's config.toml; default: the one that RepX itself would read."),
        "resources_file": _option("RepX's resources.toml: resource defaults and rules that override hints."),
        "cpus": _option("CPUs that local jobs may use at once; default: those of the machine.", kind="integer"),
        "memory": _option("Memory that local jobs may use at once; default: that of the machine.", example="16G"),
        "max_mapped": _option(
            "More sweep points than this are packed several to a task.", kind="integer", default="1000"
        ),
        "chunk": _option(
            "Sweep points of one task: a number, or `auto`, which packs long sweeps of jobs on this machine.",
            default="1",
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
        "schedule": _option(
            "When the DAG of the whole lab runs: a cron expression or preset, `asset:<uri>`, a JSON list of these for"
            " all of them, or `timetable:<import path>`; default: when triggered.",
            example="@daily",
        ),
        "schedules": _option(
            "The same for the DAGs of single runs: a JSON object by run.",
            example='{"train": "0 3 * * *", "report": "asset:repx://ising/train"}',
        ),
        "on_missing": _option(
            "What a DAG run does when a run that it depends on has jobs that are not done, and nobody is doing them:"
            " `trigger` that run, `wait`, or `fail`. Also a field of the trigger form.",
            default="trigger",
        ),
        "pool_prefix": _option(
            "Put before a target's name to make the name of its pool; labs that share it share the pool.",
            default="repx",
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
        "default_args": _option(
            "Airflow's arguments for every task of the lab's DAGs: a JSON object.",
            example='{"owner": "physics", "priority_weight": 5}',
        ),
    }


def _field(label: str, description: str, *, kind: str = "string") -> Any:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"]}}


def _slurm_connection_type() -> dict[str, Any]:
    return {
        "connection-type": "slurm",
        "hook-class-name": "airflow_provider_repx.hooks.slurm.SlurmHook",
        "hook-name": "Slurm",
        "ui-field-behaviour": {
            "hidden-fields": ["host", "port", "login", "password", "schema"],
            "relabeling": {},
            "placeholders": {},
        },
        "conn-fields": {
            "ssh_conn_id": _field(
                "SSH connection",
                "Id of the `ssh` connection of the machine that has sbatch; empty: this very machine.",
            ),
            "base_path": _field(
                "Base path", "Folder for outputs, logs and shipped labs, on a file system that all nodes share."
            ),
            "partition": _field("Partition", "Where jobs go that name none; empty: the cluster's default."),
            "account": _field("Account", "The account that jobs are charged to."),
            "qos": _field("QOS", "The quality of service of jobs."),
            "poll_interval": _field(
                "Poll interval", "Seconds between looks at Slurm's queue; empty: adapts itself.", kind="number"
            ),
            "umask": _field("Umask", "Octal, for everything that is written; 0007 for a store that a group shares."),
            "job_url": _field("Job's page", "Address at the cluster's web interface, with {job} for the number."),
            "file_url": _field("File's page", "Address of a file there, with {path}."),
        },
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
                    "airflow_provider_repx.operators.lab",
                    "airflow_provider_repx.operators.nix_build",
                    "airflow_provider_repx.operators.open_lab",
                    "airflow_provider_repx.operators.scatter_gather",
                    "airflow_provider_repx.operators.slurm",
                    "airflow_provider_repx.operators.summary",
                ],
            }
        ],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_repx.hooks.nix", "airflow_provider_repx.hooks.slurm"],
            }
        ],
        "connection-types": [_slurm_connection_type()],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_repx.sensors.run", "airflow_provider_repx.sensors.served"],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_repx.triggers.run", "airflow_provider_repx.triggers.slurm"],
            }
        ],
        "bundles": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_repx.bundles.lab"]}],
        "extra-links": [
            "airflow_provider_repx.links.ChildRunLink",
            "airflow_provider_repx.links.SlurmJobLink",
            "airflow_provider_repx.links.SlurmLogLink",
            "airflow_provider_repx.links.UpstreamRunLink",
        ],
        "cli": ["airflow_provider_repx.cli.definition.get_cli_commands"],
        "config": {
            "repx": {
                "description": "Labs whose runs become DAGs, and how their jobs are run.",
                "options": _options(),
            }
        },
    }
