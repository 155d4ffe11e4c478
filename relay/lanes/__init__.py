"""Floor, pure: one endpoint's deliveries as decisions: what is sent next, how fast, and what an outcome means."""
