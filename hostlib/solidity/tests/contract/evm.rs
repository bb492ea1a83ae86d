//! A chain of one contract.

use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Address, Bytes, TxKind};
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext};

/// Gas for one transaction: just below what a transaction may have.
const GAS_LIMIT: u64 = 16_000_000;

/// The longest code of a contract, in bytes (EIP-170).
pub const CODE_BYTES_MAX: usize = 24_576;

/// What a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
    /// The call failed: out of gas, or reverted.
    Failed,
}

/// The state of a chain under today's rules of Ethereum's main net.
pub struct Chain {
    state: CacheDB<EmptyDB>,
    nonce: u64,
    contract: Address,
    /// Gas of the transaction that deployed the contract.
    pub deploy_gas: u64,
    /// Its code, in bytes.
    pub code_bytes: usize,
}

impl Chain {
    /// Deploys a contract.
    pub fn new(creation: &[u8]) -> Self {
        let state = CacheDB::new(EmptyDB::default());
        let mut chain = Self { state, nonce: 0, contract: Address::ZERO, deploy_gas: 0, code_bytes: 0 };
        let result = chain.transact(TxKind::Create, creation);
        chain.deploy_gas = gas(&result);
        chain.contract = result.created_address().unwrap_or_else(|| panic!("not deployed: {result:?}"));
        chain.code_bytes = result.into_output().unwrap().len();
        chain
    }

    fn transact(&mut self, kind: TxKind, data: &[u8]) -> ExecutionResult {
        let mut evm = Context::mainnet().with_db(&mut self.state).build_mainnet();
        let data = Bytes::copy_from_slice(data);
        let tx =
            TxEnv::builder().kind(kind).data(data).gas_limit(GAS_LIMIT).nonce(self.nonce).build().unwrap();
        let result = evm.transact_commit(tx).unwrap();
        self.nonce += 1;
        result
    }

    /// Calls the contract in a transaction of its own: its output, none if the call failed, and the gas of the transaction.
    pub fn output(&mut self, data: &[u8]) -> (Option<Vec<u8>>, u64) {
        let result = self.transact(TxKind::Call(self.contract), data);
        let gas = gas(&result);
        let ExecutionResult::Success { output, .. } = result else { return (None, gas) };
        (Some(output.data().to_vec()), gas)
    }

    /// The verdict on a call, and the gas of the transaction.
    pub fn call(&mut self, data: &[u8]) -> (Verdict, u64) {
        let (output, gas) = self.output(data);
        let Some(output) = output else { return (Verdict::Failed, gas) };
        let (last, high) = output.split_last().unwrap();
        assert!(output.len() == 32 && high.iter().all(|byte| *byte == 0) && *last < 2);
        (if *last == 1 { Verdict::Accepted } else { Verdict::Refused }, gas)
    }
}

fn gas(result: &ExecutionResult) -> u64 {
    match result {
        ExecutionResult::Success { gas, .. }
        | ExecutionResult::Revert { gas, .. }
        | ExecutionResult::Halt { gas, .. } => gas.tx_gas_used(),
    }
}
