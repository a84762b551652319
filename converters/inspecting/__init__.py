"""What is in a data set, at a glance.

Counted in one pass (``statistics``), shown on a terminal (``tables``), as JSON or as one page of HTML (``page``).
"""
