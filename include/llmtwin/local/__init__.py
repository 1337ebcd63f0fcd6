"""The stack on one machine, without Docker: real servers under supervisor, all on the loopback interface.

``servers`` are single processes, ``services`` is the list of everything that runs, ``stack`` starts and stops it.
"""
