"""What the migrations need and must not contain themselves: the checks and the careful steps."""
