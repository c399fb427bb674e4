"""Airflow operators for RepX labs."""
