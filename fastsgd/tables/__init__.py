"""Table files to columns, columns to arrays and back. It knows nothing of networks."""
