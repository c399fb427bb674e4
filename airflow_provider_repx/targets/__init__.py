"""Where jobs run: targets, RepX's `config.toml` and `resources.toml`, and what this machine offers."""

from __future__ import annotations

from airflow_provider_repx.targets.config import (
    Configuration,
    default_config_path,
    load_configuration,
    load_targets,
    local_target,
)
from airflow_provider_repx.targets.host import host_capacity, with_host_capacity
from airflow_provider_repx.targets.models import Capacity, ExecutionType, Scheduler, SlurmDefaults, Target
from airflow_provider_repx.targets.resources import (
    ResourceRule,
    ResourceRules,
    Resources,
    ResourceSettings,
    load_resource_rules,
    resolve,
    resolve_executable,
)
from airflow_provider_repx.targets.support import require_supported

__all__ = [
    "Capacity",
    "Configuration",
    "ExecutionType",
    "ResourceRule",
    "ResourceRules",
    "ResourceSettings",
    "Resources",
    "Scheduler",
    "SlurmDefaults",
    "Target",
    "default_config_path",
    "host_capacity",
    "load_configuration",
    "load_resource_rules",
    "load_targets",
    "local_target",
    "require_supported",
    "resolve",
    "resolve_executable",
    "with_host_capacity",
]
