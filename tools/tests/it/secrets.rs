//! Nothing that the program prints or publishes holds a secret: neither the record nor the weights nor their blinding.

use std::fs;

use crate::support::{Proven, Run, diagnostic, kiln, model_file, prove, verify};

/// Secrets as text (numbers as the user wrote them) and as bytes (blinding, in files or printed in hexadecimal).
struct Secrets {
    texts: Vec<String>,
    bytes: Vec<[u8; 32]>,
}

/// The record's numbers that are like no others, and the words of the secret half of the model commitment.
fn secrets(proven: &Proven) -> Secrets {
    let record = fs::read_to_string(model_file("diagnostic.record.json")).unwrap();
    let numbers =
        record.split(['[', ']', ',']).map(|number| number.trim().trim_start_matches('-').to_owned());
    let texts = numbers.filter(|number| number.len() >= 5).collect::<Vec<_>>();
    let file = fs::read(proven.path("compiled/model.secret")).unwrap();
    // Columns of integers end where the blinding begins: sequences of three scalars, each with its length in front.
    let mut bytes = Vec::new();
    let length = [0, 0, 0, 0, 0, 0, 0, 3];
    for start in 0..file.len().saturating_sub(8 + 3 * 32) {
        if file[start..start + 8] == length {
            bytes.extend(file[start + 8..start + 8 + 96].as_chunks().0);
        }
    }
    // Small integers with zeros between them are no secret that could be told from chance.
    bytes.retain(|word: &[u8; 32]| word.iter().filter(|byte| **byte == 0).count() < 4);
    Secrets { texts, bytes }
}

impl Secrets {
    #[track_caller]
    fn assert_not_in(&self, name: &str, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        for secret in &self.texts {
            assert!(!text.contains(secret.as_str()), "{name} holds {secret} of the record");
        }
        for secret in &self.bytes {
            let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(&digits), "{name} holds blinding in hexadecimal");
            assert!(!content.windows(32).any(|window| window == secret), "{name} holds blinding");
        }
    }

    #[track_caller]
    fn assert_not_said(&self, name: &str, run: &Run) {
        self.assert_not_in(name, run.stdout.as_bytes());
        self.assert_not_in(name, run.stderr.as_bytes());
    }
}

#[test]
fn neither_output_nor_public_files_hold_a_secret() {
    let proven = diagnostic();
    let secrets = secrets(proven);
    assert!(secrets.texts.len() > 20 && secrets.bytes.len() >= 24, "there is something to look for");
    let run = prove(proven, "secrets.bin", "secrets.json", "cpu").succeeds();
    secrets.assert_not_said("prove --json", &run);
    let run = prove(proven, "secrets-card.bin", "secrets-card.json", "card:u55c").succeeds();
    secrets.assert_not_said("prove --backend card", &run);
    let [proof, key, public] =
        ["secrets.bin", "compiled/model.vk", "secrets.json"].map(|name| proven.path(name));
    secrets.assert_not_said("verify", &verify(&proof, &key, &public).succeeds());
    for name in
        ["secrets.bin", "secrets.json", "compiled/model.vk", "compiled/model.json", "compiled/proving.key"]
    {
        secrets.assert_not_in(name, &fs::read(proven.path(name)).unwrap());
    }
}

#[test]
fn errors_about_secret_files_do_not_quote_them() {
    let proven = diagnostic();
    let secrets = secrets(proven);
    let place = tempfile::tempdir().unwrap();
    let record = fs::read_to_string(model_file("diagnostic.record.json")).unwrap();
    let path = place.path().join("r.json");
    let attempt = |record: &str| {
        fs::write(&path, record).unwrap();
        let [compiled, proof, public] = ["compiled", "never.bin", "never.json"].map(|name| proven.text(name));
        let record = path.to_str().unwrap();
        kiln(&["prove", "--compiled", &compiled, "--record", record, "-o", &proof, "--public", &public])
    };
    for broken in [
        record.replacen(',', ";", 1),
        record.replacen('[', "{", 1),
        record.replace(']', ",1]"),
        record.replace(']', ""),
        record.replacen('.', ".x", 1),
        record.replacen(',', ",1e300,", 1),
        format!("[{record}]"),
        format!("{record}{record}"),
    ] {
        let run = attempt(&broken).fails(2);
        secrets.assert_not_said(&broken[..20], &run);
    }
}
