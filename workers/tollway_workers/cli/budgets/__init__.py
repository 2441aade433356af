"""`tollway budgets` and `tollway ledger`: what the fleet may spend, has spent, and who does."""
