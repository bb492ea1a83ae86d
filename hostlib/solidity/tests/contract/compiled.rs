//! Compiled contracts. Their code is kept beside the tests, so that it runs where there is no Solidity compiler; where
//! there is one (`hostlib/solidity/solc/fetch`), it is compiled again and must be the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

/// If this variable is set, code that differs is replaced instead of refused.
const ACCEPT: &str = "KILN_ACCEPT_BYTECODE";

fn keccak(text: &str) -> String {
    hex(&Keccak256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.json"))
}

/// The compiler, if it has been fetched.
fn compiler() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/solc");
    place.join("node_modules/solc").is_dir().then_some(place)
}

/// Compiles a contract: its code as a fixture holds it.
fn compile(source: &str, compiler: &Path) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/solc/compile.js");
    let child =
        Command::new("node").arg(script).arg(compiler).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the Solidity compiler is there, but node is not");
    child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let compiled: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(compiled["messages"], json!([]), "the compiler has something to say");
    json!({ "source": keccak(source), "compiler": compiled["version"], "creation": compiled["creation"] })
}

/// The code that creates a contract. Each is compiled once.
pub fn creation_code(name: &str, source: &str) -> Vec<u8> {
    static KNOWN: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    known.entry(source.to_owned()).or_insert_with(|| checked_code(name, source)).clone()
}

fn checked_code(name: &str, source: &str) -> Vec<u8> {
    let path = fixture(name);
    let kept: Value = fs::read(&path).map_or(Value::Null, |kept| serde_json::from_slice(&kept).unwrap());
    let code = match compiler() {
        None => {
            assert_eq!(
                kept["source"],
                keccak(source),
                "the contract {name} is not the one that was compiled: fetch the compiler with \
                 hostlib/solidity/solc/fetch, and run this with {ACCEPT}=1"
            );
            kept
        }
        Some(compiler) => {
            let compiled = compile(source, &compiler);
            if kept != compiled && std::env::var_os(ACCEPT).is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, serde_json::to_string_pretty(&compiled).unwrap() + "\n").unwrap();
            } else {
                assert!(
                    kept == compiled,
                    "the code of {name} has changed: run this with {ACCEPT}=1 to accept it"
                );
            }
            compiled
        }
    };
    bytes(code["creation"].as_str().unwrap())
}
