"""What trained the shipped models: one script each, on a CPU, a GPU or many machines.

`accelerate launch -m kisslab.train.codec --help`; codec, mesh, parts, identity, kiss.
"""
