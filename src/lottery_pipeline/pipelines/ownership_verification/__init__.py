"""Ownership verification: was a suspect made from a published ticket?"""
