"""The world: a simulated retailer whose truth is known."""
