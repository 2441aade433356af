"""The topics that dead letters are repaired from: letters, marks, journal, the jobs' own."""
