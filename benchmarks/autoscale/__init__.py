"""Autoscaling, simulated with Serve's own decisions, and beside a real Serve."""
