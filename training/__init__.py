"""How a model is made: dataset, train, export, evaluate, one stage a file, in the order of a run."""
