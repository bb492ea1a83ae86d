//! Takes verification to Ethereum: writes a verifier as a Solidity contract, and proofs as calldata for it.
//!
//! ```console
//! $ kiln verifier solidity --vk compiled/model.vk --model compiled/model.json -o KilnVerifier.sol
//! $ kiln verifier calldata --proof proof.bin --public public.json --vk compiled/model.vk -o call.json
//! ```
//! The contract accepts proofs about one model only: the one whose commitments `model.json` holds, and whose id it
//! shows as a public constant. It needs no other contract and keeps no state. Its function `verify` returns true for a
//! valid proof and false for anything else.
//!
//! `calldata` verifies the proof first, and makes none of a proof that is not valid. The JSON file names the function, its
//! selector, its arguments and the whole calldata.
//!
//! A contract for a key on a locally generated reference string is INSECURE, as every proof for that key: the contract
//! says so in its constant `INSECURE_SRS`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use kiln_plonk::ProcessorArithmetic;
use kiln_solidity::{Call, Contract};
use serde::Serialize;

use super::verify;
use crate::artefact::{self, Audience, SMALL_FILE_BYTES_MAX, Staged};
use crate::compiled::parse_commitment;
use crate::error::Failure;
use crate::hexadecimal;
use crate::output::{self, Format, Report};
use crate::public::{MODEL_GROUP, PublicFile};

/// Version of the calldata file.
const CALL_SCHEMA: &str = "kiln.call/1";

/// Arguments of `kiln verifier`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the contract that verifies proofs about one model
    Solidity(SolidityArgs),
    /// Write the call of that contract for one proof
    Calldata(CalldataArgs),
}

#[derive(Debug, clap::Args)]
struct SolidityArgs {
    /// The verifying key
    #[arg(long, value_name = "FILE")]
    vk: PathBuf,
    /// The model commitment, model.json; a model without weights has none
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Where to write the contract
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct CalldataArgs {
    /// The proof
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The public values
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
    /// The verifying key
    #[arg(long, value_name = "FILE")]
    vk: PathBuf,
    /// Where to write the call; without it, it is printed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

impl Args {
    /// How to print the result.
    pub fn format(&self) -> Format {
        match &self.action {
            Action::Solidity(args) => args.format,
            Action::Calldata(args) => args.format,
        }
    }
}

/// The contract that was written.
#[derive(Debug, Serialize)]
struct Written {
    contract: PathBuf,
    function: String,
    model: String,
    /// Id of the model that the contract accepts proofs about; null if the model has no weights.
    model_id: Option<String>,
    insecure: bool,
    bytes: usize,
}

/// A call, as it is written.
#[derive(Debug, Serialize)]
struct CallFile {
    /// The signature of the function.
    function: String,
    /// Its selector.
    selector: String,
    /// Its arguments in order, each a list of words.
    arguments: Vec<Vec<String>>,
    /// The whole calldata.
    calldata: String,
    insecure: bool,
    /// Where the call was written; null if nowhere.
    file: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Solidity(args) => output::result(args.format, &solidity(args)?),
        Action::Calldata(args) => output::result(args.format, &calldata(args)?),
    }
    Ok(())
}

fn solidity(args: &SolidityArgs) -> Result<Written, Failure> {
    artefact::check_destination(&args.output)?;
    let (key, meaning) = verify::read_key(&args.vk)?;
    let has_model = key.circuit().committed.iter().any(|group| group.name == MODEL_GROUP);
    let model = match &args.model {
        Some(path) => Some(read_model(path)?),
        None if has_model => {
            let advice = "the model has weights: name its commitment, model.json, with --model";
            return Err(Failure::Input(advice.into()));
        }
        None => None,
    };
    let title = format!("Model {}", meaning.model);
    let contract = Contract::new(&key, model.as_slice(), &title)
        .map_err(|e| Failure::refused("write the contract", e))?;
    write(&args.output, contract.source())?;
    if key.is_insecure() {
        output::warn(verify::INSECURE);
    }
    Ok(Written {
        contract: args.output.clone(),
        function: contract.signature().to_owned(),
        model: meaning.model,
        model_id: model.map(|model| hexadecimal::encode(&model.id())),
        insecure: key.is_insecure(),
        bytes: contract.source().len(),
    })
}

fn calldata(args: &CalldataArgs) -> Result<CallFile, Failure> {
    if let Some(path) = &args.output {
        artefact::check_destination(path)?;
    }
    let (key, meaning) = verify::read_key(&args.vk)?;
    let public = PublicFile::read(&args.public)?;
    let proof = artefact::read("read the proof", &args.proof, SMALL_FILE_BYTES_MAX)?;
    let arithmetic = ProcessorArithmetic::detect();
    verify::check(&arithmetic, &key, &meaning, &public, &proof)?;
    let statement = public.statement(&arithmetic, &key, &meaning)?;
    let known: Vec<_> =
        statement.committed.iter().filter(|group| group.name == MODEL_GROUP).cloned().collect();
    let call =
        Call::new(&key, &known, &statement, &proof).map_err(|e| Failure::refused("write the calldata", e))?;
    let hex = |bytes: &[u8]| format!("0x{}", hexadecimal::encode(bytes));
    let words = |words: &Vec<[u8; 32]>| words.iter().map(|word| hex(word)).collect();
    let file = CallFile {
        function: call.signature.clone(),
        selector: hex(&call.selector()),
        arguments: call.arguments.iter().map(words).collect(),
        calldata: hex(&call.to_bytes()),
        insecure: key.is_insecure(),
        file: args.output.clone(),
    };
    if let Some(path) = &args.output {
        write(path, &call_text(&file))?;
    }
    if key.is_insecure() {
        output::warn(verify::INSECURE);
    }
    Ok(file)
}

/// The call as a file: the same fields as the result, without the file's own name.
fn call_text(call: &CallFile) -> String {
    #[derive(Serialize)]
    struct File<'a> {
        schema: &'static str,
        function: &'a str,
        selector: &'a str,
        arguments: &'a [Vec<String>],
        calldata: &'a str,
        insecure: bool,
    }
    let CallFile { function, selector, arguments, calldata, insecure, .. } = call;
    let file = File { schema: CALL_SCHEMA, function, selector, arguments, calldata, insecure: *insecure };
    // Plain data: it always has a JSON form.
    serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
}

fn read_model(path: &Path) -> Result<kiln_verify::CommittedPublic, Failure> {
    const ACTION: &str = "read the model commitment";
    let bytes = artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?;
    parse_commitment(&bytes).map_err(|source| Failure::file(ACTION, path, source))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut staged = Staged::new();
    staged.add(path, Audience::Anyone, text.as_bytes())?;
    staged.commit()
}

impl Report for Written {
    const SCHEMA: &'static str = "kiln.verifier.solidity/1";
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = if self.insecure { "INSECURE contract" } else { "Contract" };
        writeln!(f, "{standing} {}", self.contract.display())?;
        writeln!(f, "  model     {:?}", self.model)?;
        match &self.model_id {
            Some(id) => writeln!(f, "  model id  {id}: it accepts proofs about this model only")?,
            None => writeln!(f, "  model id  none: the model has no weights")?,
        }
        write!(f, "  function  {}", self.function)
    }
}

impl Report for CallFile {
    const SCHEMA: &'static str = "kiln.verifier.calldata/1";
}

impl fmt::Display for CallFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(path) => write!(f, "Call of {} in {}", self.function, path.display()),
            None => write!(f, "{}", self.calldata),
        }
    }
}
