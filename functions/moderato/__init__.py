"""Moderation itself: pure of HTTP servers and of the environment; imports nobody above it."""
