"""Floor, pure: the API's JSON as types."""
