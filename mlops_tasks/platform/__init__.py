"""Platform: servers on this machine, who may use them, caching by content, and progress."""
