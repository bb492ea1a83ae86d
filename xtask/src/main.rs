//! Tasks of this repository that are more than a cargo command: `cargo xtask --help`.
#![forbid(unsafe_code)]

mod error;
mod guest;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Failure;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the card's conformance suite, a firmware update, a bench and a proof inside a virtual machine, over the kernel's VFIO
    ///
    /// A simulated card is served over a vfio-user socket; QEMU plugs it into a guest; the guest's vfio-pci binds it; the
    /// driver opens it there, over the group interface and over cdev with iommufd. The proof that the card makes in the guest is verified outside. QEMU and a kernel come
    /// from Debian's packages, fetched once into a cache. Needs apt-get, dpkg-deb, tar, xz, strip, make and a C compiler, but
    /// neither root nor KVM.
    ///
    /// Exit codes: 0 passed; 1 failed; 3 the packages cannot be had here, so nothing was tested.
    GuestTest(guest::Args),
}

fn main() -> ExitCode {
    let Task::GuestTest(args) = Arguments::parse().task;
    match guest::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "xtask: {failure}");
            ExitCode::from(if matches!(failure, Failure::Packages(_)) { 3 } else { 1 })
        }
    }
}
