"""Reporting: leaderboard, figures and report, from what the catalog holds."""
