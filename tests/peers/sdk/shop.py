"""Sends a small shop's traces with the OpenTelemetry SDK: shop.py HOST:PORT REQUESTS, to OTLP over gRPC without TLS.

Each request: web calls cart and cart its Redis; every fifth one web also sends to a Kafka topic that mailer reads, in the same trace.
"""

import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

endpoint, requests = sys.argv[1], int(sys.argv[2])
providers = {}


def tracer(service):
    if service not in providers:
        provider = TracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "shop"}))
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        providers[service] = provider
    return providers[service].get_tracer("shop")


def span(service, name, kind, **attributes):
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return tracer(service).start_as_current_span(name, kind=kind, attributes=named)


for number in range(requests):
    with span("web", "GET /cart", SpanKind.SERVER):
        with span("web", "GET", SpanKind.CLIENT, server__address="cart"):
            with span("cart", "GET /items", SpanKind.SERVER):
                with span("cart", "HGETALL", SpanKind.CLIENT, db__system__name="redis", server__address="redis"):
                    pass
        if number % 5 == 0:
            topic = {"messaging__system": "kafka", "messaging__destination__name": "mails"}
            with span("web", "send mails", SpanKind.PRODUCER, **topic):
                with span("mailer", "process mails", SpanKind.CONSUMER, **topic):
                    pass

for provider in providers.values():
    if not provider.force_flush(30_000):
        sys.exit("not every span was taken")
    provider.shutdown()
