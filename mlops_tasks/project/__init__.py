"""A project seen from outside: finding it, running its flows, and the demo that makes one."""
