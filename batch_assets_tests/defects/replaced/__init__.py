"""The system that this project replaces, in small: each stage as naive as its defects.

Written from `original-system.md` so that the checks of this directory can be seen to fail. What has
no defect is left out or done properly.
"""
