"""The whole: the full loop against outside oracles, the command line, device conformance, documents."""
