"""A page to look at: items chosen, pictures made small, shapes drawn over them, as HTML or as one PNG."""
