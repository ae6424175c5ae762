"""The experiments of the project as Prefect flows, each in reading order on one screen."""
