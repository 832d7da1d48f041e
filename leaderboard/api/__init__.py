"""The REST API of the leaderboard."""
