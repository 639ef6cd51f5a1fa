"""Services (ADR-32): request/reply that others can find, watch and scale; over any bus.

from agents_core.nats import micro

async def double(request):
    await request.respond(request.data * 2)

service = await micro.add_service(nc, name="math", version="1.0.0")
await service.add_endpoint(name="double", handler=double)
print(await micro.ping(nc))
"""

from agents_core.errors import InvalidService, ServiceError
from agents_core.nats.micro.discovery import info, ping, stats
from agents_core.nats.micro.request import Handler, Request, error_headers, error_of
from agents_core.nats.micro.responses import (
    EndpointInfo,
    EndpointStats,
    ServiceInfo,
    ServicePing,
    ServiceStats,
)
from agents_core.nats.micro.service import Group, Service, add_service

__all__ = [
    "EndpointInfo",
    "EndpointStats",
    "Group",
    "Handler",
    "InvalidService",
    "Request",
    "Service",
    "ServiceError",
    "ServiceInfo",
    "ServicePing",
    "ServiceStats",
    "add_service",
    "error_headers",
    "error_of",
    "info",
    "ping",
    "stats",
]
