"""Sparse retraining: any stored ticket, or any rung of a ladder, trained under any recipe."""
