"""What the checkout brings besides the package: a local Airflow for the demo and the tests, and the demo itself."""
