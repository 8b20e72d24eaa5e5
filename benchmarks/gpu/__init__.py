"""The pieces of `benchmarks/gpu_throughput.py`: each mode runs in a process of its own."""
