"""The crash drill: runs are killed, frozen and cut off, and then every request is accounted for."""
