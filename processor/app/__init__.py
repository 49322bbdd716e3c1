"""The composition root: what a worker is made of, and how it lives."""
