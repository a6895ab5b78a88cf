"""Parts of `benchmarks.serve`: a load generator, and a FastAPI service for comparison."""
