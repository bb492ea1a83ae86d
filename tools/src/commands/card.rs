//! Lists the cards that can prove, and looks after them.
//!
//! ```console
//! $ kiln card list
//! $ kiln card info sim:u55c
//! $ kiln card bind vfio:0000:41:00.0 --user kiln    # as root, once after each boot
//! $ kiln card validate vfio:0000:41:00.0
//! $ kiln card fw install vfio:0000:41:00.0 firmware-1.2.kfw --activate
//! ```
//! A card's address is `sim:PROFILE` for one that is simulated in this process, cycle by cycle;
//! `vfio-user:SOCKET` for one that another process serves, such as `kiln-sim serve`; and
//! `vfio:0000:41:00.0` for one on this machine's PCI bus that is bound to vfio-pci. The driver above them is
//! the same. Use an address as `--backend card:ADDRESS`. The kernel's VFIO has two interfaces, and the newer
//! one (cdev, with iommufd) is used where this user may; `vfio:0000:41:00.0?interface=group` or `=cdev` chooses.
//!
//! A card has one owner at a time: while a proof runs on it, these commands say who that is. Opening a card
//! resets its controller, but not its memory. What disturbs more asks first, or wants `--yes`.

mod bench;
mod bind;
mod events;
mod firmware;
mod health;
mod info;
mod list;
mod top;
mod validate;

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use kiln_driver::sysfs::Bus;

use crate::backend::CardAddress;
use crate::error::Failure;
use crate::output::{self, Format};

/// Arguments of `kiln card`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// A card, and how to print what is said of it.
#[derive(Debug, clap::Args)]
struct Target {
    /// The card's address, as `kiln card list` prints it
    address: CardAddress,
    #[command(flatten)]
    format: Format,
}

/// Consent to what disturbs a card.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Consent {
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the cards: on the bus, and simulated
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Bring up a card and print what it says of itself
    Info(Target),
    /// Give a card on the bus to processes: bind it to vfio-pci
    Bind {
        #[command(flatten)]
        target: Target,
        /// Let this user open the card: a name or a number
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Take a card back from processes
    Unbind {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        consent: Consent,
    },
    /// Print temperature and power
    Sensors(Target),
    /// Print the card's counters
    Stats(Target),
    /// Print the card's error log, newest first
    Errors(Target),
    /// Wait for the card's next event, or for all of them
    Events(events::Args),
    /// Watch cards: temperature, power, commands, memory errors
    ///
    /// On a terminal the view fills the screen and is drawn again and again until interrupted. A card that fails stays in the list.
    Top {
        /// The cards' addresses
        #[arg(required = true)]
        addresses: Vec<CardAddress>,
        /// Time between two views, in seconds
        #[arg(long, default_value_t = 1)]
        interval_s: u64,
        /// End after this many views
        #[arg(long)]
        views: Option<u64>,
        #[command(flatten)]
        format: Format,
    },
    /// List, install, activate and roll back the card's firmware
    ///
    /// A card has two slots and a factory image. It starts a new image on trial and goes back by itself if that does not
    /// come up. One that is simulated in this process forgets its slots at the end; `kiln-sim serve --flash` keeps them.
    #[command(subcommand)]
    Fw(firmware::Action),
    /// Check everything: registers, copies, memory, known answers, interrupts, faults, resets
    ///
    /// Overwrites card memory and resets the card.
    Validate {
        #[command(flatten)]
        target: Target,
        /// Also install this firmware image, start it, and go back to what runs now
        #[arg(long, value_name = "IMAGE")]
        firmware: Option<PathBuf>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Measure what the driver costs: commands per second, latency, bandwidth
    ///
    /// Overwrites the first 16 MiB of card memory.
    Bench {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        consent: Consent,
    },
    /// Reset a card as at power-up, and bring it up again
    Reset {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        consent: Consent,
    },
}

impl Args {
    /// How to print the result.
    pub fn format(&self) -> Format {
        match &self.action {
            Action::Fw(action) => action.format(),
            Action::List { format } | Action::Top { format, .. } => *format,
            Action::Info(target)
            | Action::Sensors(target)
            | Action::Stats(target)
            | Action::Errors(target) => target.format,
            Action::Events(args) => args.format(),
            Action::Bind { target, .. }
            | Action::Unbind { target, .. }
            | Action::Validate { target, .. }
            | Action::Bench { target, .. }
            | Action::Reset { target, .. } => target.format,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let format = args.format();
    match &args.action {
        Action::List { .. } => output::result(format, &list::run()?),
        Action::Info(target) => output::result(format, &info::run(&target.address)?),
        Action::Bind { target, user, consent } => {
            consent.or_ask(&format!("take {} from its driver and bind it to vfio-pci", target.address))?;
            output::result(format, &bind::bind(&Bus::default(), &target.address, user.as_deref())?);
        }
        Action::Unbind { target, consent } => {
            consent.or_ask(&format!("unbind {}, which ends the programs that use it", target.address))?;
            output::result(format, &bind::unbind(&Bus::default(), &target.address)?);
        }
        Action::Sensors(target) => output::result(format, &health::sensors(&target.address)?),
        Action::Stats(target) => output::result(format, &health::stats(&target.address)?),
        Action::Errors(target) => output::result(format, &health::errors(&target.address)?),
        Action::Events(args) => events::run(args)?,
        Action::Top { addresses, interval_s, views, .. } => {
            top::run(addresses, Duration::from_secs(*interval_s), *views, format)?;
        }
        Action::Fw(action) => firmware::run(action)?,
        Action::Validate { target, firmware, consent } => {
            let also = if firmware.is_some() { ", write firmware to it" } else { "" };
            consent.or_ask(&format!("overwrite the memory of {}{also} and reset it", target.address))?;
            let validation = validate::run(&target.address, firmware.as_deref())?;
            output::result(format, &validation);
            validation.judge()?;
        }
        Action::Bench { target, consent } => {
            consent.or_ask(&format!("overwrite memory of {}", target.address))?;
            output::result(format, &bench::run(&target.address)?);
        }
        Action::Reset { target, consent } => {
            consent.or_ask(&format!("reset {}, which empties its memory", target.address))?;
            output::result(format, &health::reset(&target.address)?);
        }
    }
    Ok(())
}

impl Consent {
    /// Asks at the terminal, unless consent was given; where there is no terminal, nothing is done.
    fn or_ask(self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let input = std::io::stdin();
        if !input.is_terminal() {
            return Err(Failure::Input(format!("this would {what}; say --yes if that is wanted")));
        }
        let _ = write!(std::io::stderr(), "This will {what}. Go on? [y/N] ");
        let mut answer = String::new();
        let read = input.lock().read_line(&mut answer);
        match (read, answer.trim()) {
            (Ok(_), "y" | "Y" | "yes") => Ok(()),
            _ => Err(Failure::Input("nothing was done".into())),
        }
    }
}
