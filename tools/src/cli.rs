//! Arguments, dispatch and exit codes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{bench, card, compile, demo, prove, range, run, setup, tune, verifier, verify};
use crate::error::Failure;
use crate::output::{self, Format};

/// Exit codes and the like, at the end of every help page.
const AFTER_HELP: &str = "\
Exit codes: 0 proven or valid; 1 invalid proof; 2 bad input or usage; 3 device failure.
Results go to standard output, progress and errors to standard error.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "kiln",
    version,
    about = "Proves what a machine-learning model answered, without showing the model or the record",
    long_about = help(include_str!("commands/demo.rs")),
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: demo::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the demonstration (as without a command)
    #[command(long_about = help(include_str!("commands/demo.rs")), after_help = AFTER_HELP)]
    Demo(demo::Args),
    /// Turn an ONNX model into a circuit, its keys and a model commitment
    #[command(long_about = help(include_str!("commands/compile.rs")), after_help = AFTER_HELP)]
    Compile(compile::Args),
    /// Run the integer model and the float model beside each other, without a proof
    #[command(long_about = help(include_str!("commands/run.rs")), after_help = AFTER_HELP)]
    Run(run::Args),
    /// Make a structured reference string for tests: INSECURE
    #[command(long_about = help(include_str!("commands/setup.rs")), after_help = AFTER_HELP)]
    Setup(setup::Args),
    /// Prove what a compiled model answers on a record
    #[command(long_about = help(include_str!("commands/prove.rs")), after_help = AFTER_HELP)]
    Prove(prove::Args),
    /// Check a proof: needs the proof, the verifying key and the public values only
    #[command(long_about = help(include_str!("commands/verify.rs")), after_help = AFTER_HELP)]
    Verify(verify::Args),
    /// Take verification to Ethereum: a contract for a model, calldata for a proof
    #[command(long_about = help(include_str!("commands/verifier.rs")), after_help = AFTER_HELP)]
    Verifier(verifier::Args),
    /// Show once for each model that its hidden weights are small integers
    #[command(long_about = help(include_str!("commands/range.rs")), after_help = AFTER_HELP)]
    Range(range::Args),
    /// Measure what proving takes on this machine, for predictions and layouts
    #[command(long_about = help(include_str!("commands/tune.rs")), after_help = AFTER_HELP)]
    Tune(tune::Args),
    /// List cards, or describe one
    #[command(long_about = help(include_str!("commands/card.rs")), after_help = AFTER_HELP)]
    Card(card::Args),
    /// Measure the prover and its kernels beside other libraries'
    #[command(long_about = help(include_str!("commands/bench.rs")), after_help = AFTER_HELP)]
    Bench(bench::Args),
}

/// A command's help is the documentation of its module: the `//!` lines at the top of its source. Code blocks lose
/// their fences and are indented.
fn help(source: &str) -> String {
    let mut text = String::new();
    let (mut in_block, mut after_block) = (false, false);
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("```") {
            after_block = in_block;
            in_block = !in_block;
            continue;
        }
        if after_block && !line.is_empty() {
            text.push('\n');
        }
        after_block = false;
        if in_block && !line.is_empty() {
            text.push_str("    ");
        }
        text.push_str(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no failure.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let format = cli.format();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(format, &failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

impl Cli {
    fn format(&self) -> Format {
        match &self.command {
            None => self.demo.format,
            Some(Command::Demo(args)) => args.format,
            Some(Command::Compile(args)) => args.format,
            Some(Command::Run(args)) => args.format,
            Some(Command::Setup(args)) => args.format,
            Some(Command::Prove(args)) => args.format,
            Some(Command::Verify(args)) => args.format,
            Some(Command::Verifier(args)) => args.format(),
            Some(Command::Range(args)) => args.format,
            Some(Command::Tune(args)) => args.format,
            Some(Command::Card(args)) => args.format(),
            Some(Command::Bench(args)) => args.format(),
        }
    }

    fn run(self) -> Result<(), Failure> {
        match self.command.unwrap_or(Command::Demo(self.demo)) {
            Command::Demo(args) => output::result(args.format, &demo::run(&args)?),
            Command::Compile(args) => output::result(args.format, &compile::run(&args)?),
            Command::Run(args) => output::result(args.format, &run::run(&args)?),
            Command::Setup(args) => output::result(args.format, &setup::run(&args)?),
            Command::Prove(args) => output::result(args.format, &prove::run(&args)?),
            Command::Verify(args) => verify::run(&args)?,
            Command::Verifier(args) => verifier::run(&args)?,
            Command::Range(args) => output::result(args.format, &range::run(&args)?),
            Command::Tune(args) => output::result(args.format, &tune::run(&args)?),
            Command::Card(args) => card::run(&args)?,
            Command::Bench(args) => bench::run(&args)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_the_module_documentation_without_fences() {
        let source = "//! One.\n//!\n//! ```console\n//! $ kiln\n//! ```\n//! Two.\n\nuse x;\n//! not this\n";
        assert_eq!(help(source), "One.\n\n    $ kiln\n\nTwo.");
    }

    #[test]
    fn arguments_of_the_demonstration_do_not_mix_with_a_command() {
        assert!(Cli::try_parse_from(["kiln", "--backend", "cpu", "card", "list"]).is_err());
        assert!(Cli::try_parse_from(["kiln", "--backend", "cpu"]).is_ok());
    }
}
