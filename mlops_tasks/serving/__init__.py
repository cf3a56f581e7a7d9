"""Serving: for now, scoring whole datasets with the champion."""
