"""What several layers say: stages, detox methods, and the messages of the model service. Opens nothing."""
