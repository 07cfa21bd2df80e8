"""What every gear of the house needs to be one: job, start, log, watchdog, QC record."""
