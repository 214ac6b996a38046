"""Evaluate: replay the past and score forecasts against what happened."""
