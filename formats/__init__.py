"""What the files say: one module a format; wire records, load and dump. Nothing here knows the model."""
