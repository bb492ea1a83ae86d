//! Proofs on the string of a ceremony file.

use ark_bn254::Fr;
use kiln_plonk::{Ptau, Srs, VerifyingKey};

use crate::ptau_file;
use crate::sample::{Sample, Setting, cpu_engine};
use crate::verdict::verify;

/// The SRS for 2^k rows of a file with this τ, in both forms.
fn srs(k: u32, tau: u64) -> [Srs; 2] {
    let folder = tempfile::tempdir().unwrap();
    let [ptau, own] = ["ceremony.ptau", "srs"].map(|name| folder.path().join(name));
    std::fs::write(&ptau, ptau_file::file(&ptau_file::sections(7, Fr::from(tau)))).unwrap();
    let srs = Ptau::open(&ptau).unwrap().read_srs(k, &kiln_plonk::Silent).unwrap();
    srs.write_to(&own).unwrap();
    [srs, Srs::read_from(&own).unwrap()]
}

#[test]
fn a_proof_on_a_ceremony_string_verifies_and_is_not_called_insecure() {
    for k in 2..=6 {
        for srs in srs(k, 1 << 41) {
            let setting = Setting::with_srs(Sample::new(k, 3), cpu_engine(), srs);
            let proof = setting.prove(5);
            assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()), "k = {k}");
            assert!(!setting.vk.is_insecure());
            let vk = VerifyingKey::from_file_bytes(&setting.vk.to_file_bytes()).unwrap();
            assert!(!vk.is_insecure());
            assert_eq!(vk.srs().fingerprint(), setting.srs.verifier().fingerprint());
        }
    }
}

#[test]
fn a_proof_on_one_ceremony_does_not_verify_on_another() {
    let [setting, other] = [3, 5].map(|tau| {
        let [srs, _] = srs(3, tau);
        Setting::with_srs(Sample::new(3, 3), cpu_engine(), srs)
    });
    assert_ne!(setting.vk.digest(), other.vk.digest());
    assert!(verify(&other.vk, &other.statement, &setting.prove(1)).is_err());
}
