"""Columns in, sparse rows out; a featurizer never sees a weight of the network."""
