"""Where a worker's time goes, sampled while it works."""
