//! The proving kernels (MSM, NTT, vector), the work graph, and its backends.
