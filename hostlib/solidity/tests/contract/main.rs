//! Generated contracts in an Ethereum virtual machine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod evm;
#[path = "../../../plonk/tests/proofs/sample.rs"]
#[allow(dead_code, reason = "shared with the proof system's own tests")]
mod sample;

use evm::Chain;
use kiln_solidity::{Call, Contract};
use sample::{Sample, Setting};

#[test]
fn scratch() {
    let setting = Setting::new(Sample::new(3, 4));
    let groups = setting.statement.committed.clone();
    let contract = Contract::new(&setting.vk, &groups, "sample").unwrap();
    std::fs::write("/tmp/w/evm_sample.sol", contract.source()).unwrap();
    let code = evm::compile(contract.source());
    println!("{} bytes runtime {:?}", code.runtime.len(), code.messages);
    let mut chain = Chain::new();
    let (address, gas) = chain.deploy(&code.creation);
    println!("deploy gas {gas}");
    let proof = setting.prove(3);
    let call = Call::new(&setting.vk, &groups, &setting.statement, &proof).unwrap();
    println!("{:?}", chain.call(address, &call.to_bytes()));
}
