"""What trained the shipped models: one script each, on a CPU, a GPU or many machines.

1. kisslab.studio.write_views(folder, seeds) and `python -m kisslab.train.lessons` draw the data;
2. `accelerate launch -m kisslab.train.codec --help`; then mesh, scene, identity, kiss.

Each resumes after a kill, and writes its weights, its curve and a model card.
"""
