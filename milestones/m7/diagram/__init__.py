"""m2's live diagrams."""
