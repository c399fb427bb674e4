"""DAGs of the RepX labs in the [repx] section of Airflow's configuration: copy this file into the DAGs folder."""

from airflow_provider_repx import repx_dags

globals().update(repx_dags())
