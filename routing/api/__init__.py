"""The REST API of routing."""
