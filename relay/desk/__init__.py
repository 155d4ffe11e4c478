"""Floor: what a merchant asks of its endpoints and deliveries, and how it is answered."""
