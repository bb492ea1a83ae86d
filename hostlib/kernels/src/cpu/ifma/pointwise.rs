//! Pointwise programs, eight rows at a time.
