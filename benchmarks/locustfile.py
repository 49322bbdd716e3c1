"""Load from tills: `locust -f benchmarks/locustfile.py`; docs/performance.md says more.

The users are UnaryUser, BatchUser and StreamUser; name those that shall take part, or none for all.
"""

from grpc.experimental.gevent import init_gevent

from benchmarks.users import options
from benchmarks.users.batch import BatchUser
from benchmarks.users.stream import StreamUser
from benchmarks.users.unary import UnaryUser

__all__ = ["BatchUser", "StreamUser", "UnaryUser"]

# Before the first channel, or gRPC's threads would block Locust's.
init_gevent()
options.register()
