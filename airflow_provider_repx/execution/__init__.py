"""Running jobs: the output store, and how a job is started, awaited and settled. Importable without Airflow."""
