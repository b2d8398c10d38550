"""What a line chart does not show, drawn: records in, a PNG out.

Drawing is loaded where it is used, since that takes a second; so this package imports nothing.
"""
