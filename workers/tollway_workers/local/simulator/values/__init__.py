"""Values that satisfy a JSON Schema, made in a process of their own."""
