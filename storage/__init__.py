"""PostgreSQL behind the processor: the only place that knows SQL."""
