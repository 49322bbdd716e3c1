"""Load from tills: `locust -f benchmarks/locustfile.py`; docs/performance.md says more.

The users are UnaryUser, BatchUser and StreamUser; name those that shall take part, or none for all.
"""

from benchmarks.users import access, options, shapes
from benchmarks.users.batch import BatchUser
from benchmarks.users.gevent_grpc import register_gevent
from benchmarks.users.objectives import Objectives
from benchmarks.users.percentiles import Percentiles
from benchmarks.users.stream import StreamUser
from benchmarks.users.unary import UnaryUser
from benchmarks.users.workers import Workers

__all__ = ["BatchUser", "StreamUser", "UnaryUser"]

register_gevent()
access.register()
options.register()
shapes.register()
percentiles = Percentiles()
percentiles.register()
workers = Workers()
workers.register()
Objectives(percentiles, workers).register()
