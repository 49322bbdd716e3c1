"""The users of the load test: tills that send one operation a call, many a call, or many a message."""
