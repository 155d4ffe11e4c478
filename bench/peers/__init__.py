"""Senders built from registries, which `bench.deliver_with_peers` runs beside the relay."""
