"""One module for each kind of document. A new kind is a new module with its `Handler`; the dispatcher finds it."""
