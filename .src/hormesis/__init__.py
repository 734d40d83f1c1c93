"""Does some toxic text in pretraining make a model easier to detoxify? Imports nothing by itself."""
