"""What Scale Nucleus files say: payloads as JSON Lines, with the names of the SDK (``scale-nucleus``).

``wire`` has the payloads, ``parts`` writes JSON Lines in parts, ``forms`` recognises what a file holds.
"""
