"""The composition root: the only room, besides the command, that may use the SDK."""
