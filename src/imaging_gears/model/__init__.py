"""Values: participant, visit, verdict and findings, event. Frozen, complete, no I/O."""
