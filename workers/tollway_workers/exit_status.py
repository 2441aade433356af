"""Exit statuses of the command. 0: all is well; 1: it ran, and some of it failed."""

#: It could not run at all.
COULD_NOT_RUN = 2
#: Ctrl-C, as shells have it.
INTERRUPTED = 130
#: It met an exception that it does not expect: Python's own status for that.
UNEXPECTED = 1
