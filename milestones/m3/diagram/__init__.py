"""m3's live diagram."""
