//! Formats do not change by accident. If one of these fails on purpose, the version of what it covers must change too.

use kiln_plonk::PROOF_VERSION;
use sha3::{Digest, Keccak256};

use crate::sample::{Sample, Setting};

fn digest(bytes: &[u8]) -> String {
    Keccak256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bytes_are_what_they_were_in_this_version() {
    let setting = Setting::new(Sample::new(3, 4));
    let group = &setting.statement.committed[0];
    let hex = |id: [u8; 32]| id.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    let pk = crate::proving_key::written(&setting);
    let mut secret = Vec::new();
    setting.secret[0].write(&mut secret).unwrap();
    let found = [
        ("srs id", hex(setting.srs.id())),
        ("key digest", hex(setting.vk.digest())),
        ("group id", hex(group.id())),
        ("verifying key", digest(&setting.vk.to_file_bytes())),
        ("proving key", digest(&pk)),
        ("secret half", digest(&secret)),
        ("proof", digest(&setting.prove(1))),
    ];
    assert_eq!(PROOF_VERSION, 1);
    let expected = [
        ("srs id", "5a3d04406fa68bb6"),
        ("key digest", "fb2b04303d50a51a"),
        ("group id", "166dda1f46890216"),
        ("verifying key", "db3f72a1afd98df3"),
        ("proving key", "325c96cff2dca6db"),
        ("secret half", "66cc20681060d738"),
        ("proof", "2d5e36d7accd2736"),
    ];
    assert_eq!(found.each_ref().map(|(name, digest)| (*name, digest.as_str())), expected);
}
