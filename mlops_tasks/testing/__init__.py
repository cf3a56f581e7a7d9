"""What tests of generated projects use: a sandboxed project, a server, and a home of their own."""
