"""m5's live diagram."""
