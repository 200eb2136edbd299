"""Known mistakes, one op a file: sentence → a wrong reference. A failing spec is compared with them."""
