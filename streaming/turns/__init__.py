"""Voice activity to turns: when the user began, paused and stopped, in samples received."""
