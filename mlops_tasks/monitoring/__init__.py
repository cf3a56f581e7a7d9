"""Monitoring: the windows of a live model, judged, reported, and answered with a retraining."""
