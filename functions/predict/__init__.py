"""Moderation: score texts, decide, record, answer."""
