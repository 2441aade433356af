"""From dead letters to jobs again: what is changed of each, and how each is published once."""
