"""What can be wrong with a data set, and how it is found: rules over the model, in one pass and bounded memory.

``catalogue`` has the rules' codes, ``problems`` collects what was found, ``records`` runs the rules over a stretch
of records: ``shapes`` (geometry), ``values`` and ``duplicates`` look at one record, ``consistency`` at the whole.
Formats may have rules of their own about what their files say (``examine`` of their module); those use the same
catalogue.
"""
