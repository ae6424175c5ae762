"""The experiments of the project as Prefect flows, each on one screen and in reading order."""
