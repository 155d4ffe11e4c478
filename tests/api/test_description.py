"""The API against its own description: whatever is sent, no 5xx, and nothing that is not documented.

Schemathesis makes the calls, valid ones and broken ones, from the document the server gives; the seed is the run's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.http.calls import AdminAccess
from gateway.http.operations import OPERATIONS
from gateway.ratelimits import LocalRateLimits, RateLimit, Verdict
from tests.api.world import ADMIN_TOKEN, CONFIG, open_world, read_settings

EXAMPLES = 12
ENDLESS = {"stream_events"}
ADMIN = {operation.name for operation in OPERATIONS if isinstance(operation.access, AdminAccess)}
CHECKS = (
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


class NoLimits(LocalRateLimits):
    """Counts, and refuses nobody: a test that is turned away learns nothing."""

    async def spend(self, subject: str, limit: RateLimit, *, cost: int = 1) -> Verdict:
        return Verdict(True, limit, remaining=1, reset_s=0.0, retry_after_s=0.0)


@dataclass(slots=True)
class Prober:
    """Calls every operation with made-up requests, in a thread of its own."""

    base_url: str
    key: str
    mode: GenerationMode
    seed: int
    calls_count: int = 0

    def probe_everything(self) -> None:
        """Every operation that ends by itself."""
        schema = schemathesis.openapi.from_url(f"{self.base_url}/openapi.json")
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            name = operation.definition.raw["operationId"]
            if name in ENDLESS:
                continue
            try:
                self._probe(
                    operation.as_strategy(generation_mode=self.mode),
                    ADMIN_TOKEN if name in ADMIN else self.key,
                )
            except hypothesis.errors.Unsatisfiable:
                assert self.mode is GenerationMode.NEGATIVE, f"{name}: nothing valid can be sent"

    def _probe(self, cases: Any, token: str) -> None:
        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @hypothesis.given(case=cases)
        def probe(case: schemathesis.Case[Any]) -> None:
            self.calls_count += 1
            if case.query and "wait" in case.query:
                case.query["wait"] = 0
            response = case.call(
                base_url=self.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=20
            )
            may_be_busy = case.path == "/readyz"  # which says so with 503
            assert response.status_code < 500 or may_be_busy, (case.method, case.path, response.content)
            case.validate_response(response, checks=list(CHECKS))

        probe()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_whatever_is_sent_the_answer_is_documented(
    database_url: str, tmp_path: Path, mode: GenerationMode, seed: int
) -> None:
    async with open_world(database_url, read_settings(CONFIG, tmp_path)) as world:
        world.services.limits = NoLimits()
        key = await world.create_merchant()
        await world.watch(key)
        await world.pay(empty=12)
        prober = Prober(world.base_url, key, mode, seed)
        await asyncio.to_thread(prober.probe_everything)
    assert prober.calls_count > 100
