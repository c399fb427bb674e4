"""What `airflow repx doctor` looks at, one module per subject."""
