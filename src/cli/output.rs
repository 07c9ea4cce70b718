//! Output: what goes to standard output, and whether it arrived there.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why a part of the output was lost.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints. The work goes on if that fails; [`lost`] tells.
pub(super) fn print(text: &str) {
    note(io::stdout().write_all(text.as_bytes()));
}

/// Why a part of what was printed is missing; `None` if all of it arrived, or if the reader wanted
/// no more, as `| head`.
pub(super) fn lost() -> Option<&'static io::Error> {
    note(io::stdout().flush());
    LOST.get()
}

fn note(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != ErrorKind::BrokenPipe
    {
        // The first one says why; the others follow from it.
        let _ = LOST.set(error);
    }
}
