"""Which bytes, from where, under which licence: fetching public files and reading their formats."""
