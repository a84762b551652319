"""What the files mean: the model, and each format to and from it. Start with model.py, then protocol.py."""
