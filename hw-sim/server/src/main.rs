//! The simulated card as a process of its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kiln_sim::image::insecure_test_key;
use kiln_sim::{Card, DEFAULT_PROFILE, FaultPlan, FlashMemory};
use kiln_sim_server::image::{ImageArgs, KeyArgs, load_profile, read_public_key};
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
    /// Make a firmware image for a simulated card, and sign it
    ///
    /// A simulated card has one control program; an image says under which version it runs. `kiln card fw install` takes
    /// the image to the card.
    Image(ImageArgs),
    /// Make a key to sign firmware images with
    ///
    /// Who has the signing key decides what runs on the cards that trust it: keep it off the machines that have the cards.
    Key(KeyArgs),
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
    /// Faults to come: seed=NUMBER, update-seed=NUMBER, or NAME@JOB, such as hung-engine@12; may be repeated
    #[arg(long, value_name = "FAULT")]
    fault: Vec<FaultPlan>,
    /// File that keeps the card's firmware slots; made if it is not there. Without it they are empty at every start
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// File with the public key by which firmware images must be signed. Without it the card trusts the INSECURE test key
    #[arg(long, value_name = "FILE")]
    firmware_key: Option<PathBuf>,
    /// A second socket on which each line NAME lets the card suffer that fault at once
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// End when the first client has left
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Image(image) => image.run().map_err(Into::into),
        Command::Key(key) => key.run().map_err(Into::into),
    };
    match outcome {
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
        let plan = self.fault.iter().cloned().fold(FaultPlan::default(), FaultPlan::and);
        let flash = match &self.flash {
            Some(path) => FlashMemory::open(path)?,
            None => FlashMemory::default(),
        };
        let key = match &self.firmware_key {
            Some(path) => read_public_key(path)?,
            None => insecure_test_key().verifying_key().to_bytes(),
        };
        let card = Card::with_serial(load_profile(&self.profile)?, self.serial).with_flash(flash, key);
        let card = card.with_faults(plan);
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
