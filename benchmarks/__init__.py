"""What a run of the gear costs: requests, bytes, CPU and memory, against their bounds."""
