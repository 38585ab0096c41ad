"""A thousand requests made up from the server's own description: none of them breaks it."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase

schemathesis = pytest.importorskip("schemathesis")

from schemathesis import GenerationMode  # noqa: E402
from schemathesis.checks import content_type_conformance, not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    response_schema_conformance,
    status_code_conformance,
)

N_REQUESTS = 1_000
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROUTES = ("/predict", "/explain", "/schema", "/health", "/metrics")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the generator's making, not of ours
def test_no_request_breaks_the_server(server):
    described = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    n_asked: dict[int, int] = {}
    for path, method, mode, n_requests in _plan():
        operation = described[path][method]

        @hypothesis.settings(
            max_examples=n_requests, deadline=None, database=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            response = case.call(base_url=server.url, headers={"Connection": "close"})
            n_asked[response.status_code] = n_asked.get(response.status_code, 0) + 1
            case.validate_response(response, checks=CHECKS)

        ask()
    assert sum(n_asked.values()) >= N_REQUESTS, n_asked
    assert max(n_asked) < 500, n_asked
    assert n_asked.get(200, 0) > N_REQUESTS / 10, n_asked  # the generator did get through
    assert n_asked.get(422, 0) > N_REQUESTS / 10, n_asked
    assert server.ask("GET", "/health").json["status"] == "ok"


def _plan():
    """Yield what to ask for how often: well-formed requests, and all ways to get them wrong."""
    for path in ("/predict", "/explain"):
        for mode in GenerationMode:
            yield path, "POST", mode, N_REQUESTS // 4
    for path in ("/schema", "/health", "/metrics"):
        yield path, "GET", GenerationMode.POSITIVE, 5


def test_the_plan_covers_every_route(server):
    told = server.ask("GET", "/openapi.json").json["paths"]
    assert {path for path, *_ in _plan()} == set(told) == set(ROUTES)
