//! A chain of one contract.

use std::io::Write;
use std::process::{Command, Stdio};

use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Address, Bytes, TxKind};
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext};

/// Gas for one transaction.
const GAS_LIMIT: u64 = 16_000_000;

/// What solc makes of a contract.
pub struct Compiled {
    pub creation: Vec<u8>,
    pub runtime: Vec<u8>,
    pub messages: Vec<String>,
}

/// What a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
    /// The call failed: out of gas, or reverted.
    Failed,
}

/// The state of a chain.
pub struct Chain {
    state: CacheDB<EmptyDB>,
    nonce: u64,
}

impl Chain {
    pub fn new() -> Self {
        Self { state: CacheDB::new(EmptyDB::default()), nonce: 0 }
    }

    fn transact(&mut self, kind: TxKind, data: &[u8]) -> ExecutionResult {
        let mut evm = Context::mainnet().with_db(&mut self.state).build_mainnet();
        let data = Bytes::copy_from_slice(data);
        let tx = TxEnv::builder().kind(kind).data(data).gas_limit(GAS_LIMIT).nonce(self.nonce).build().unwrap();
        let result = evm.transact_commit(tx).unwrap();
        self.nonce += 1;
        result
    }

    /// Deploys a contract: its address and the gas of the transaction.
    pub fn deploy(&mut self, creation: &[u8]) -> (Address, u64) {
        let result = self.transact(TxKind::Create, creation);
        match result.created_address() {
            Some(address) => (address, gas(&result)),
            None => panic!("not deployed: {result:?}"),
        }
    }

    /// Calls it in a transaction of its own: the verdict and the gas of the transaction.
    pub fn call(&mut self, contract: Address, data: &[u8]) -> (Verdict, u64) {
        let result = self.transact(TxKind::Call(contract), data);
        let gas = gas(&result);
        let ExecutionResult::Success { output, .. } = result else { return (Verdict::Failed, gas) };
        let (last, high) = output.data().split_last().unwrap();
        assert!(output.data().len() == 32 && high.iter().all(|byte| *byte == 0) && *last < 2);
        (if *last == 1 { Verdict::Accepted } else { Verdict::Refused }, gas)
    }
}

fn gas(result: &ExecutionResult) -> u64 {
    match result {
        ExecutionResult::Success { gas, .. }
        | ExecutionResult::Revert { gas, .. }
        | ExecutionResult::Halt { gas, .. } => gas.used(),
    }
}

/// Compiles with solc-js.
pub fn compile(source: &str) -> Compiled {
    let folder = "/tmp/w/evmnpm";
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/compile.js");
    let mut child = Command::new("node").arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = |name: &str| decode(json[name].as_str().unwrap());
    Compiled {
        creation: bytes("creation"),
        runtime: bytes("runtime"),
        messages: json["messages"].as_array().unwrap().iter().map(|m| m.as_str().unwrap().to_owned()).collect(),
    }
}

fn decode(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}
