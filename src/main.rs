//! The `tidegate` program: arguments in, exit code out.

use std::process::ExitCode;
use tidegate::cli::{Arguments, execute};
use tidegate::process::modes::keep_private;

/// Freed memory from so many bytes on goes back to the system at once. By itself glibc keeps ever larger pieces, for each
/// thread: the columns of chunks that are long written, several times over.
const RETURNED_BYTES_MIN: i32 = 1 << 20;

fn main() -> ExitCode {
    return_freed_memory();
    keep_private();
    // Set up before any thread runs; it is empty unless the program was built for crash tests.
    let _failpoints = fail::FailScenario::setup();
    execute(Arguments::read()).into()
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library says this to the allocator")]
fn return_freed_memory() {
    // SAFETY: it changes a parameter of the allocator, and no other thread runs yet. If it is refused, more is kept.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, RETURNED_BYTES_MIN) };
}

/// Other allocators keep little.
#[cfg(not(target_env = "gnu"))]
const fn return_freed_memory() {}
