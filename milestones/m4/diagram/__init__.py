"""m4's live diagram."""
