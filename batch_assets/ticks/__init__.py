"""What every schedule and sensor looks at before it starts a run, and how it says that it did not.

Nothing here changes anything but the records of runs that are dead. What cannot be read is never
taken for nothing: it ends the tick with a sentence.
"""
