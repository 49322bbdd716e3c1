"""A year of a real retailer's receipts through the running service, and an audit of what became of it."""
