"""The whole API as one table: what can be asked, by whom, and what comes back.

Lives here: `OPERATIONS`. Routes, access, decoding and the OpenAPI description are all made from it, so none can disagree
with another. Does not live here: the handlers (one module for each resource), the types (`shapes`).
"""

from __future__ import annotations

from gateway.apikeys import Scope
from gateway.http.edge.calls import AdminAccess, AnyKey, HealthAccess, OpenAccess, Operation, Response
from gateway.http.resources import (
    addresses,
    chains,
    checkpoints,
    coverage,
    deliveries,
    deposit_proofs,
    deposits,
    endpoints,
    events,
    explain,
    health,
    merchants,
    public_keys,
    trail,
)
from gateway.http.shapes import addresses as shapes_addresses
from gateway.http.shapes import chains as shapes_chains
from gateway.http.shapes import deposits as shapes_deposits
from gateway.http.shapes import events as shapes_events
from gateway.http.shapes import explain as shapes_explain
from gateway.http.shapes import forms
from gateway.http.shapes import merchants as shapes_merchants
from gateway.http.shapes import proofs as shapes_proofs
from gateway.http.shapes import relay as shapes_relay

ADMIN = AdminAccess()
GONE = Response(204, None, "Done; nothing to show.")

MERCHANTS = (
    Operation(
        "POST", "/v1/merchants", "create_merchant", "Create a merchant with a first key", ADMIN,
        merchants.post_merchant,
        (Response(201, shapes_merchants.CreatedMerchant, "The merchant; its key is shown once."),),
        body=shapes_merchants.NewMerchant,
    ),
    Operation(
        "GET", "/v1/merchants", "list_merchants", "List merchants", ADMIN, merchants.get_merchants,
        (Response(200, shapes_merchants.MerchantPage, "A page."),), query=forms.PageQuery,
    ),
    Operation(
        "POST", "/v1/merchants/{merchant_id}/keys", "create_key", "Create one more key", ADMIN,
        merchants.post_key,
        (Response(201, shapes_merchants.CreatedKey, "The key, shown once."),), body=shapes_merchants.NewKeyBody,
    ),
    Operation(
        "GET", "/v1/merchants/{merchant_id}/keys", "list_keys", "List a merchant's keys", ADMIN,
        merchants.get_keys, (Response(200, shapes_merchants.KeyPage, "A page."),), query=forms.PageQuery,
    ),
    Operation(
        "DELETE", "/v1/keys/{key_id}", "revoke_key", "Revoke a key", ADMIN, merchants.delete_key, (GONE,),
    ),
)  # fmt: skip

ADDRESSES = (
    Operation(
        "POST", "/v1/addresses", "watch_addresses", "Watch one address or many", Scope.ADDRESSES,
        addresses.post_addresses,
        (
            Response(
                201, shapes_addresses.AddressObject | shapes_addresses.AddressList,
                "Watched from now on, but for `not_watched`.",
            ),
            Response(200, shapes_addresses.AddressObject | shapes_addresses.AddressList, "Watched already."),
        ),
        body=shapes_addresses.NewAddress | shapes_addresses.NewAddresses,
            ),
    Operation(
        "GET", "/v1/addresses", "list_addresses", "List watched addresses", Scope.ADDRESSES,
        addresses.get_addresses, (Response(200, shapes_addresses.AddressPage, "A page."),), query=shapes_addresses.AddressQuery,
    ),
    Operation(
        "GET", "/v1/addresses/{address_id}", "get_address", "One watched address", Scope.ADDRESSES,
        addresses.get_address, (Response(200, shapes_addresses.AddressObject, "The address."),),
    ),
    Operation(
        "DELETE", "/v1/addresses/{address_id}", "unwatch_address", "Stop watching an address",
        Scope.ADDRESSES, addresses.delete_one_address, (GONE,),
    ),
)  # fmt: skip

DEPOSITS = (
    Operation(
        "GET", "/v1/deposits", "list_deposits", "List deposits", Scope.DEPOSITS, deposits.get_deposits,
        (Response(200, shapes_deposits.DepositPage, "A page."),), query=shapes_deposits.DepositQuery,
    ),
    Operation(
        "GET", "/v1/deposits/{deposit_id}", "get_deposit", "One deposit", Scope.DEPOSITS,
        deposits.get_deposit, (Response(200, shapes_deposits.DepositObject, "The deposit."),),
    ),
    Operation(
        "GET", "/v1/deposits/{deposit_id}/history", "get_deposit_history", "Every event of a deposit",
        Scope.DEPOSITS, deposits.get_history, (Response(200, shapes_events.EventList, "Its events, oldest first."),),
        query=forms.PageQuery,
    ),
    Operation(
        "GET", "/v1/deposits/{deposit_id}/proof", "get_deposit_proof", "Prove a deposit by its block's hash",
        Scope.DEPOSITS, deposit_proofs.get_deposit_proof,
        (
            Response(
                200,
                shapes_proofs.TrieProofObject
                | shapes_proofs.MerkleProofObject
                | shapes_proofs.WitnessedProofObject,
                "The proof.",
            ),
        ),
        problems=(409,), waits=True,
    ),
)  # fmt: skip

EVENTS = (
    Operation(
        "GET", "/v1/events", "list_events", "What follows a sequence; waits if asked to", Scope.EVENTS,
        events.get_events, (Response(200, shapes_events.EventPage, "Events, ascending."),), query=shapes_events.EventQuery,
        problems=(409, 410),
    ),
    Operation(
        "GET", "/v1/events/stream", "stream_events", "The log as server-sent events", Scope.EVENTS,
        events.get_stream, (Response(200, "text/event-stream", "Events, as they come."),),
        query=shapes_events.StreamQuery, problems=(400, 409, 410),
    ),
    Operation(
        "POST", "/v1/events/checkpoints", "make_checkpoint", "Sign the log as it stands now", Scope.EVENTS,
        checkpoints.post_checkpoint,
        (
            Response(201, shapes_proofs.CheckpointObject, "The checkpoint."),
            Response(200, shapes_proofs.CheckpointObject, "The newest one: nothing was told since."),
        ),
    ),
    Operation(
        "GET", "/v1/events/checkpoints", "list_checkpoints", "List signed checkpoints", Scope.EVENTS,
        checkpoints.get_checkpoints, (Response(200, shapes_proofs.CheckpointPage, "A page."),),
        query=forms.PageQuery,
    ),
    Operation(
        "GET", "/v1/events/checkpoints/latest", "get_last_checkpoint", "The newest checkpoint", Scope.EVENTS,
        checkpoints.get_last_checkpoint, (Response(200, shapes_proofs.CheckpointObject, "The checkpoint."),),
        problems=(404,),
    ),
    Operation(
        "GET", "/v1/events/consistency", "prove_consistency", "Prove that one log continues another",
        Scope.EVENTS, checkpoints.get_consistency, (Response(200, shapes_proofs.ConsistencyProof, "The proof."),),
        query=shapes_proofs.ConsistencyQuery, problems=(404, 409),
    ),
    Operation(
        "GET", "/v1/events/{event_id}/inclusion", "prove_inclusion", "Prove that an event was signed",
        Scope.EVENTS, checkpoints.get_inclusion, (Response(200, shapes_proofs.InclusionProof, "The proof."),),
        query=shapes_proofs.InclusionQuery, problems=(409,),
    ),
    Operation(
        "GET", "/v1/events/{event_id}/tlog-proof", "get_tlog_proof", "The same as a file (C2SP tlog-proof)",
        Scope.EVENTS, checkpoints.get_tlog_proof, (Response(200, "text/plain", "The proof."),),
        query=shapes_proofs.InclusionQuery, problems=(409,),
    ),
    Operation(
        "GET", "/v1/events/head", "get_head", "Where the log ends", Scope.EVENTS, events.get_head,
        (Response(200, shapes_relay.EventHead, "Its last sequence."),),
    ),
    Operation(
        "GET", "/v1/events/{event_id}", "get_event", "One event's exact bytes", Scope.EVENTS, events.get_event,
        (Response(200, shapes_events.EventObject, "The event."),),
    ),
)  # fmt: skip

ENDPOINTS = (
    Operation(
        "POST", "/v1/endpoints", "create_endpoint", "Say where webhooks go", Scope.ENDPOINTS,
        endpoints.post_endpoint,
        (Response(201, shapes_relay.CreatedEndpoint, "The endpoint; its secret is shown once."),),
        body=shapes_relay.NewEndpoint, problems=(410,),
    ),
    Operation(
        "GET", "/v1/endpoints", "list_endpoints", "List endpoints", Scope.ENDPOINTS, endpoints.get_endpoints,
        (Response(200, shapes_relay.EndpointPage, "A page."),), query=forms.PageQuery,
    ),
    Operation(
        "GET", "/v1/endpoints/{endpoint_id}", "get_endpoint", "One endpoint", Scope.ENDPOINTS,
        endpoints.get_endpoint, (Response(200, shapes_relay.EndpointObject, "The endpoint."),),
    ),
    Operation(
        "PATCH", "/v1/endpoints/{endpoint_id}", "change_endpoint", "Change an endpoint", Scope.ENDPOINTS,
        endpoints.patch_endpoint, (Response(200, shapes_relay.EndpointObject, "As it is now."),),
        body=shapes_relay.EndpointChanges,
    ),
    Operation(
        "DELETE", "/v1/endpoints/{endpoint_id}", "delete_endpoint", "Delete an endpoint", Scope.ENDPOINTS,
        endpoints.delete_one_endpoint, (GONE,),
    ),
    Operation(
        "POST", "/v1/endpoints/{endpoint_id}/rotate-secret", "rotate_secret", "Give it a new secret",
        Scope.ENDPOINTS, endpoints.post_rotate_secret,
        (Response(200, shapes_relay.EndpointSecret, "The secret, shown once."),),
        body=shapes_relay.RotateSecret,
    ),
    Operation(
        "POST", "/v1/endpoints/{endpoint_id}/rotate-key", "rotate_key", "Give it a new signing key",
        Scope.ENDPOINTS, endpoints.post_rotate_key,
        (Response(200, shapes_relay.PublicKeyObject, "The public half of the new key."),),
        body=shapes_relay.RotateKey,
    ),
    Operation(
        "POST", "/v1/endpoints/{endpoint_id}/pause", "pause_endpoint", "Send nothing until resumed",
        Scope.ENDPOINTS, endpoints.post_pause, (Response(200, shapes_relay.EndpointObject, "As it is now."),),
    ),
    Operation(
        "POST", "/v1/endpoints/{endpoint_id}/resume", "resume_endpoint", "Go on where it stood",
        Scope.ENDPOINTS, endpoints.post_resume, (Response(200, shapes_relay.EndpointObject, "As it is now."),),
    ),
    Operation(
        "POST", "/v1/endpoints/{endpoint_id}/test", "test_endpoint", "Send it a test event", Scope.ENDPOINTS,
        deliveries.post_test, (Response(200, shapes_relay.PingResult, "What became of it."),), waits=True,
    ),
    Operation(
        "POST", "/v1/endpoints/{endpoint_id}/verify", "verify_endpoint", "Ask it to echo a challenge",
        Scope.ENDPOINTS, deliveries.post_verify,
        (Response(200, shapes_relay.VerificationResult, "What became of it."),), waits=True,
    ),
    Operation(
        "POST", "/v1/endpoints/{endpoint_id}/replay", "replay_events",
        "Deliver again: a stretch of the log, one deposit's events, or what was exhausted",
        Scope.ENDPOINTS, deliveries.post_replay,
        (Response(202, shapes_relay.AcceptedReplay, "It will be done."),),
        body=shapes_relay.ReplayRange | shapes_relay.ReplayDeposit | shapes_relay.ReplayExhausted, problems=(410,),
    ),
    Operation(
        "GET", "/v1/endpoints/{endpoint_id}/deliveries", "list_deliveries", "List an endpoint's deliveries",
        Scope.ENDPOINTS, deliveries.get_deliveries, (Response(200, shapes_relay.DeliveryPage, "A page."),),
        query=shapes_relay.DeliveryQuery,
    ),
    Operation(
        "GET", "/v1/endpoints/{endpoint_id}/audit", "list_endpoint_audit", "What was done to an endpoint, and by whom",
        Scope.ENDPOINTS, trail.get_audit, (Response(200, shapes_relay.AuditPage, "A page, oldest first."),),
        query=forms.PageQuery,
    ),
    Operation(
        "GET", "/v1/deliveries/{delivery_id}", "get_delivery", "One delivery with its attempts",
        Scope.ENDPOINTS, deliveries.get_delivery,
        (Response(200, shapes_relay.DeliveryDetail, "The delivery."),),
    ),
    Operation(
        "POST", "/v1/deliveries/{delivery_id}/retry", "retry_delivery", "Try a delivery again now",
        Scope.ENDPOINTS, deliveries.post_retry,
        (Response(202, shapes_relay.DeliveryObject, "As it stands now."),),
    ),
)  # fmt: skip

PUBLIC_KEYS = (
    Operation(
        "GET", "/.well-known/chainbell/{merchant_id}/keys.json", "list_public_keys",
        "What a merchant's webhooks are signed with", OpenAccess(), public_keys.get_public_keys,
        (Response(200, shapes_relay.PublicKeyList, "Keys and when each holds."),), problems=(422, 429),
    ),
    Operation(
        "GET", "/.well-known/chainbell/logs/{log_id}/checkpoint", "get_public_checkpoint",
        "What a log says of itself", OpenAccess(), checkpoints.get_public_checkpoint,
        (Response(200, shapes_proofs.CheckpointObject, "Its newest checkpoint."),), problems=(422, 429),
    ),
)  # fmt: skip

CHAINS = (
    Operation(
        "GET", "/v1/chains", "list_chains", "Where every chain stands", AnyKey(), chains.get_chains,
        (Response(200, shapes_chains.ChainList, "Every chain."),),
    ),
    Operation(
        "GET", "/v1/chains/{alias}", "get_chain", "Where one chain stands", AnyKey(), chains.get_chain,
        (Response(200, shapes_chains.ChainObject, "The chain."),),
    ),
)  # fmt: skip

EXPLAIN = (
    Operation(
        "GET", "/v1/explain", "explain", "Why a payment is credited or not", Scope.DEPOSITS, explain.get_explanation,
        (Response(200, shapes_explain.Explanation, "The reasons, in words."),), query=shapes_explain.ExplainQuery,
        problems=(404,), waits=True,
    ),
    Operation(
        "GET", "/v1/coverage", "get_coverage", "What was read, without a hole", Scope.DEPOSITS,
        coverage.get_coverage, (Response(200, shapes_explain.Coverage, "Ranges, holes and levels."),),
        query=shapes_explain.CoverageQuery, problems=(404,),
    ),
)  # fmt: skip

HEALTH = (
    Operation(
        "GET", "/healthz", "healthz", "Whether the process answers", HealthAccess(), health.get_healthz,
        (Response(200, shapes_chains.Health, "It does."),),
    ),
    Operation(
        "GET", "/readyz", "readyz", "Whether it can do its work", HealthAccess(), health.get_readyz,
        (
            Response(200, shapes_chains.Readiness, "It can."),
            Response(503, shapes_chains.Readiness, "It can not now."),
        ),
    ),
    Operation(
        "GET", "/metrics", "metrics", "Prometheus' text", HealthAccess(), health.get_metrics,
        (Response(200, "text/plain", "The numbers."),),
    ),
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    *MERCHANTS,
    *ADDRESSES,
    *DEPOSITS,
    *EVENTS,
    *ENDPOINTS,
    *PUBLIC_KEYS,
    *CHAINS,
    *EXPLAIN,
    *HEALTH,
)
