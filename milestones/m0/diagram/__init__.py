"""m0's live diagram."""
