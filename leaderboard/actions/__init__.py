"""Writes of the leaderboard: the catalogue, ingestion, publishing."""
