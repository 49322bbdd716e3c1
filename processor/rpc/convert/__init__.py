"""Requests to plain values; a request that is not valid is refused with every violation that it has."""
