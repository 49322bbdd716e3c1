"""The service beside what PostgreSQL itself can do, measured in one run."""
