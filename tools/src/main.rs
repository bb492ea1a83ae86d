//! Kiln's command line. Everything is in the library beside it; this is only the process around it.

use std::process::ExitCode;

fn main() -> ExitCode {
    kiln::cli::main()
}
