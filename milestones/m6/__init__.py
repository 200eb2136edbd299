"""m6: fast kernels: a decode step in few dispatches, straight from packed weights, recorded once and replayed."""
