"""Load, comparison with PostgreSQL's own limit, and the replay of real receipts."""
