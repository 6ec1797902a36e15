"""What surrounds every stage: session, tables, running a step, progress."""
