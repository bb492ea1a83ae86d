//! The simulated card as a process of its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kiln_sim::{Card, DEFAULT_PROFILE, FaultPlan, Profile};
use kiln_sim_server::{CardServer, control};

/// A simulated Kiln card, cycle by cycle.
#[derive(Debug, Parser)]
#[command(name = "kiln-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the card as a PCI device over a vfio-user socket
    ///
    /// A driver reaches it as vfio-user:SOCKET; QEMU plugs it into a guest with -device vfio-user-pci. One client at a
    /// time: when it leaves, the card is reset and waits for the next. The line `ready SOCKET` on standard output says
    /// that a client may come.
    Serve(Serve),
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// Where to put the socket
    #[arg(long)]
    socket: PathBuf,
    /// Card model: the name of a built-in profile, or a TOML file
    #[arg(long, default_value = DEFAULT_PROFILE)]
    profile: String,
    /// Serial number of the card
    #[arg(long, default_value_t = 1)]
    serial: u64,
    /// Faults to come: seed=NUMBER, or NAME@JOB, such as hung-engine@12; may be repeated
    #[arg(long, value_name = "FAULT")]
    fault: Vec<FaultPlan>,
    /// A second socket on which each line NAME lets the card suffer that fault at once
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// End when the first client has left
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    let Command::Serve(serve) = Arguments::parse().command;
    match serve.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&*error);
            let mut line = String::from("kiln-sim");
            while let Some(error) = cause {
                line += &format!(": {error}");
                cause = error.source();
            }
            let _ = writeln!(std::io::stderr(), "{line}");
            ExitCode::from(2)
        }
    }
}

impl Serve {
    fn run(&self) -> Result<(), Box<dyn std::error::Error>> {
        let path = std::path::Path::new(&self.profile);
        let profile = if path.is_file() {
            Profile::from_toml(&std::fs::read_to_string(path)?)?
        } else {
            Profile::load(&self.profile)?
        };
        let plan = self.fault.iter().cloned().fold(FaultPlan::default(), FaultPlan::and);
        let card = Card::with_serial(profile, self.serial).with_faults(plan);
        let mut server = CardServer::bind(&self.socket, card)?;
        if let Some(path) = &self.control {
            control::listen(path, server.injector())?;
        }
        let mut out = std::io::stdout();
        writeln!(out, "ready {}", self.socket.display())?;
        out.flush()?;
        loop {
            if let Err(error) = server.serve_one() {
                // One client's broken connection is no reason to end for the next.
                let _ = writeln!(std::io::stderr(), "kiln-sim: a client was cut off: {error}");
            }
            if self.once {
                return Ok(());
            }
        }
    }
}
