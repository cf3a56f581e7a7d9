"""Data: versions (DVC), contracts, frames and splits. Nothing here knows models or Prefect."""
