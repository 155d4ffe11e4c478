"""Room: how strangers are told, and what happens when they do not listen.

Here lives the event log of every merchant (`bodies`, `log`, `audit`), what makes it tamper-evident (`merkle`, `tree`,
`notes`, `checkpoints`, `proofs`), one cursor per endpoint and rows for trouble only (`lane`, `schedule`, `pace`: pure;
`dispatch`, `shards`, `store`, `service`: acting), the one way out to strangers' servers (`addresses`, `egress`,
`signing`), what merchants do with endpoints and deliveries (`endpoints`, `redeliver`, `views`), and what receivers run
(`verify`). It owns the tables of 0002_relay.sql; others call `log.append` inside their own transaction, or read through
`views`. It has never heard of blockchains. Essays: docs/delivery.md, docs/webhooks.md, docs/proofs.md.
"""
