"""The champion's answers: one at a time behind HTTP, or whole datasets; and what is kept."""
