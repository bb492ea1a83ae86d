//! Memory that was freed and that the allocator keeps.

/// Gives memory that was freed back to the system, where the allocator can be asked to. Otherwise much of it stays with the process: vectors of
/// some megabytes that were let go are kept for others of their size.
pub fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes no pointer and touches only what nobody holds.
    unsafe {
        libc::malloc_trim(0);
    }
}
