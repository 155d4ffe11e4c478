"""Room: how strangers are told, and what happens when they do not listen.

Floors: `log` is the events of every merchant, `proof` what makes them tamper-evident, `keys` what seals and signs, `lanes` one
cursor per endpoint and rows for trouble only, as decisions (pure), `workers` what acts on them, `out` the one way out to
strangers' servers, `desk` what merchants do with endpoints and deliveries, `kit` and `verify` what receivers run. `service` runs
it. It owns the tables of 0002_relay.sql; others call `log.eventlog.append` inside their own transaction, or read through
`desk.views`. It has never heard of blockchains. Essays: docs/delivery.md, docs/webhooks.md, docs/proofs.md.
"""
