"""Reporting: leaderboard, figures and the report."""
