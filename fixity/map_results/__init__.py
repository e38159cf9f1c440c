"""Where deployed state machines find their Lambda, `fixity.map_results.handler.handler`; nothing else."""
