"""What `loyalty-processor top` shows: figures from two scrapes of a server's metrics, and their view."""
