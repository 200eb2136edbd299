"""How fast the engine is, and where its time goes: `firstlight bench`, `firstlight profile`, and what CI compares."""
