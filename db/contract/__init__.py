"""Words that layers share: stages, detox methods, attacks, messages of the model service. Opens nothing."""
