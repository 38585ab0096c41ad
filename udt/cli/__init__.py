"""The command line: parses, calls what Python users call, words the outcome."""
