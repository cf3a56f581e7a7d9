"""Platform: the Prefect server on this machine, caching by content, and progress on the screen."""
