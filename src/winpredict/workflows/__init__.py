"""What the product does, one function each, for the command line, the scheduled run, notebooks and the desk alike.

Each works in a workspace, whose lock the caller holds where something is written, and tells its progress to a callable.
"""
