"""What people type about the local stack: `batch-assets demo` and `batch-assets local …`."""
