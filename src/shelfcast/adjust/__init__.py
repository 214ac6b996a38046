"""Adjust: forecasts into better forecasts: combined, calibrated, coherent, overridden by planners."""
