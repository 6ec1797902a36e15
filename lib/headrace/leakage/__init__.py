"""Stage `training_set`, after the rows are made: does a feature know the label, does a row know the other parts?"""
