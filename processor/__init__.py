"""The loyalty transaction processor: accrues and redeems points, once per idempotency key."""
