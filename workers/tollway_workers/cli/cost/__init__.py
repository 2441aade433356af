"""`tollway cost`: what calls cost, summed from the journal."""
