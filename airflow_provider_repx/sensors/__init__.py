"""Airflow sensors for RepX labs."""
