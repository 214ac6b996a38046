"""Operate: run folders, the trace of every answer."""
