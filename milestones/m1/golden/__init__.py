"""Golden fixtures of m1, and the script that makes them."""
