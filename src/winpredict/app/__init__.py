"""The win desk: pages for reps and managers, and an API, on a workspace and a SQL database."""
