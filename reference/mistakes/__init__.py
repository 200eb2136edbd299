"""Known mistakes, one op a file: RIGHT, and MISTAKES: sentence → a wrong reference.

A failing spec is compared with them; on inputs where a mistake gives what is right it explains nothing, and is not named.
"""
