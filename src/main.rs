//! The `tidegate` program: reads the arguments, runs the command and returns its exit code.

use std::process::ExitCode;
use tidegate::cli::{Arguments, execute};
use tidegate::process::modes::keep_private;

/// Allocations of at least 1 MiB go back to the system as soon as they are freed. By default glibc
/// raises this threshold and keeps larger and larger freed blocks in each thread: several copies of
/// the columns of chunks that were written long ago.
const RETURNED_BYTES_MIN: i32 = 1 << 20;

fn main() -> ExitCode {
    return_freed_memory();
    keep_private();
    // Set up before any thread runs. It does nothing unless the program was built for crash tests.
    let _failpoints = fail::FailScenario::setup();
    execute(Arguments::read()).into()
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library says this to the allocator")]
fn return_freed_memory() {
    // SAFETY: it changes a parameter of the allocator, and no other thread runs yet. If the call
    // fails, the process only keeps more memory.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, RETURNED_BYTES_MIN) };
}

/// Other allocators keep little freed memory.
#[cfg(not(target_env = "gnu"))]
const fn return_freed_memory() {}
