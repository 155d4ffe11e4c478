"""Floor: secrets at rest and keys that sign: how they are made, sealed, changed and used."""
