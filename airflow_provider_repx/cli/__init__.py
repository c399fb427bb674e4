"""The commands below `airflow repx`, one file each."""
